"""services.*.build.args (compose-spec build.md, args)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.build.args"

CASES = (
    Case(
        "mapping",
        "build: {args: {GIT_COMMIT: cdc3b19, N: 1, F: 1.5, T: true}}",
        {"F": "1.5", "GIT_COMMIT": "cdc3b19", "N": "1", "T": "true"},
    ),
    Case(
        "list", "build: {args: [GIT_COMMIT=cdc3b19, A=b=c]}", {"A": "b=c", "GIT_COMMIT": "cdc3b19"}
    ),
    Case("without-value", "build: {args: [GIT_COMMIT, A=1]}", {"A": "1"}),
    Case(
        "from-outside",
        "build: {args: [GIT_COMMIT]}",
        {"GIT_COMMIT": "abc"},
        env={"GIT_COMMIT": "abc"},
    ),
    Case(
        "null-from-outside",
        "build: {args: {GIT_COMMIT: , A: }}",
        {"GIT_COMMIT": "abc"},
        env={"GIT_COMMIT": "abc"},
    ),
    Case("empty-value", "build: {args: {A: '', B: x}}", {"A": "", "B": "x"}),
    Case("empty", "build: {args: {}}", ABSENT),
    Case("variable", "build: {args: {A: '${A:-b}'}}", {"A": "b"}),
    Case(
        "merged",
        "build: {args: {A: 1, B: 2}}",
        {"A": "1", "B": "3", "C": "4"},
        over="build: {args: [B=3, C=4]}",
    ),
    Case("merged-null", "build: {args: {A: 1, B: 2}}", {"B": "2"}, over="build: {args: {A: }}"),
    Case("overridden", "build: {args: {A: 1}}", {"B": "2"}, over="build: {args: !override {B: 2}}"),
    Case("reset", "build: {args: {A: 1}}", ABSENT, over="build: {args: !reset null}"),
)

WRONG = (
    Wrong(
        "text",
        "build: {args: A=1}",
        "expected a mapping or a list of KEY=VALUE, not text",
        place="4:13",
        hint="write KEY: VALUE below it",
    ),
    Wrong(
        "nested",
        "build: {args: {A: {B: 1}}}",
        "expected text or a number, not a mapping",
        place="4:20",
        hint="a value is one line of text: put it in quotes",
    ),
    Wrong(
        "mapping-in-list",
        "build: {args: [{A: 1}]}",
        "expected KEY=VALUE, not a mapping",
        place="4:20",
        hint="write each as KEY=VALUE, or all as KEY: VALUE without dashes",
    ),
    Wrong(
        "blank-before-equals",
        "build: {args: ['A =1']}",
        "a variable's name cannot end with a space",
        place="4:20",
        hint="write NAME=VALUE without a space before the =",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_build_args(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_build_args_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
