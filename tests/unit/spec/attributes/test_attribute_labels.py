"""services.*.labels (compose-spec 05-services.md, labels)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.labels"

CASES = (
    Case(
        "mapping",
        "labels: {com.example.a: Accounting webapp, com.example.b: ''}",
        {"com.example.a": "Accounting webapp", "com.example.b": ""},
    ),
    Case(
        "list",
        "labels: [com.example.a=Accounting webapp, com.example.b, c=d=e]",
        {"c": "d=e", "com.example.a": "Accounting webapp", "com.example.b": ""},
    ),
    Case(
        "typed",
        "labels: {n: 7, f: 1.5, t: true, z: }",
        {"f": "1.5", "n": "7", "t": "true", "z": ""},
    ),
    Case("empty", "labels: {}", ABSENT),
    Case("variable", "labels: ['a=${A}']", {"a": "1"}, env={"A": "1"}),
    Case("dollar", "labels: {a: Host(`$$x`)}", {"a": "Host(`$$x`)"}),
    Case("upper-case-key", "labels: {A.B: c}", {"A.B": "c"}),
    Case(
        "extension-is-a-key", "labels: {x-a: b}", {"x-a": "b"}, ours="it prints its own internals"
    ),
    Case(
        "merged",
        "labels: {a: 1, b: 2}",
        {"a": "1", "b": "3", "c": "4"},
        over="labels: {b: 3, c: 4}",
    ),
    Case("merged-forms", "labels: [a=1, b=2]", {"a": "1", "b": "3"}, over="labels: {b: 3}"),
    Case("merged-null", "labels: {a: 1}", {"a": ""}, over="labels: {a: }"),
    Case("overridden", "labels: {a: 1}", {"b": "2"}, over="labels: !override [b=2]"),
    Case("reset", "labels: {a: 1}", ABSENT, over="labels: !reset null"),
    Case("reset-one", "labels: {a: 1, b: 2}", {"a": "1"}, over="labels: {b: !reset null}"),
)

WRONG = (
    Wrong(
        "text",
        "labels: a=b",
        "expected a mapping or a list of KEY=VALUE, not text",
        place="4:5",
        hint="write KEY: VALUE below it",
    ),
    Wrong(
        "nested",
        "labels: {a: {b: c}}",
        "expected text or a number, not a mapping",
        place="4:14",
        hint="a value is one line of text: put it in quotes",
    ),
    Wrong(
        "mapping-in-list",
        "labels:\n  - a: b",
        "expected KEY=VALUE, not a mapping",
        place="5:9",
        hint="write each as KEY=VALUE, or all as KEY: VALUE without dashes",
    ),
    Wrong("number-in-list", "labels: [1]", "expected KEY=VALUE, not a number"),
    Wrong(
        "repeated-key",
        "labels:\n  a: b\n  a: c",
        'key "a" is set twice, first in line 5',
        place="6:7",
        hint="keep one of the two",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_labels(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_labels_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
