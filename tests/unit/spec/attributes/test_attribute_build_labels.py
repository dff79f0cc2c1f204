"""services.*.build.labels (compose-spec build.md, labels)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.build.labels"

CASES = (
    Case(
        "mapping",
        "build: {labels: {com.example.a: Accounting webapp, com.example.b: ''}}",
        {"com.example.a": "Accounting webapp", "com.example.b": ""},
    ),
    Case(
        "list",
        "build: {labels: [com.example.a=b, com.example.c]}",
        {"com.example.a": "b", "com.example.c": ""},
    ),
    Case("typed", "build: {labels: {n: 1, t: true, z: }}", {"n": "1", "t": "true", "z": ""}),
    Case("empty", "build: {labels: {}}", ABSENT),
    Case("variable", "build: {labels: {a: '${A}'}}", {"a": "b"}, env={"A": "b"}),
    Case(
        "merged",
        "build: {labels: {a: 1, b: 2}}",
        {"a": "1", "b": "3"},
        over="build: {labels: [b=3]}",
    ),
    Case("reset", "build: {labels: {a: 1}}", ABSENT, over="build: {labels: !reset null}"),
)

WRONG = (
    Wrong(
        "text",
        "build: {labels: a=b}",
        "expected a mapping or a list of KEY=VALUE, not text",
        place="4:13",
        hint="write KEY: VALUE below it",
    ),
    Wrong(
        "nested",
        "build: {labels: {a: [b]}}",
        "expected text or a number, not a list",
        place="4:22",
        hint="a value is one line of text: put it in quotes",
    ),
    Wrong(
        "mapping-in-list",
        "build: {labels: [{a: b}]}",
        "expected KEY=VALUE, not a mapping",
        hint="write each as KEY=VALUE, or all as KEY: VALUE without dashes",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_build_labels(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_build_labels_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
