"""services.*.annotations (compose-spec 05-services.md, annotations)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.annotations"

CASES = (
    Case(
        "mapping",
        "annotations: {com.example.a: b, com.example.c: d}",
        {"com.example.a": "b", "com.example.c": "d"},
    ),
    Case(
        "list",
        "annotations: [com.example.a=b, com.example.c=d=e]",
        {"com.example.a": "b", "com.example.c": "d=e"},
    ),
    Case(
        "list-without-value",
        "annotations: [com.example.a, com.example.b=]",
        {"com.example.a": "", "com.example.b": ""},
    ),
    Case(
        "typed",
        "annotations: {n: 7, f: 1.50, t: true, e: 1e3}",
        {"e": "1000", "f": "1.5", "n": "7", "t": "true"},
    ),
    Case("null-value", "annotations: {a: , b: ''}", {"a": "", "b": ""}),
    Case("empty", "annotations: {}", ABSENT),
    Case("empty-list", "annotations: []", ABSENT),
    Case("variable", "annotations: {a: '${ONE}-${TWO:-2}'}", {"a": "1-2"}, env={"ONE": "1"}),
    Case("variable-in-list", "annotations: ['a=${ONE}']", {"a": "1"}, env={"ONE": "1"}),
    Case("variable-in-key", "annotations: {'${ONE}': a}", {"$${ONE}": "a"}, env={"ONE": "1"}),
    Case("dollar", "annotations: {a: 'cost: $$5'}", {"a": "cost: $$5"}),
    Case(
        "extension-is-a-key",
        "annotations: {x-a: b}",
        {"x-a": "b"},
        ours="it prints its own internals",
    ),
    Case(
        "merged",
        "annotations: {a: 1, b: 2}",
        {"a": "1", "b": "3", "c": "4"},
        over="annotations: {b: 3, c: 4}",
    ),
    Case(
        "merged-forms", "annotations: [a=1, b=2]", {"a": "1", "b": "3"}, over="annotations: {b: 3}"
    ),
    Case(
        "merged-forms-back",
        "annotations: {a: 1, b: 2}",
        {"a": "1", "b": "3"},
        over="annotations: [b=3]",
    ),
    Case(
        "reset-one", "annotations: {a: 1, b: 2}", {"a": "1"}, over="annotations: {b: !reset null}"
    ),
    Case("reset", "annotations: {a: 1}", ABSENT, over="annotations: !reset null"),
    Case("overridden", "annotations: {a: 1}", {"b": "2"}, over="annotations: !override {b: 2}"),
    Case("over-null", "annotations: {a: 1}", {"a": "1"}, over="annotations:\n"),
)

WRONG = (
    Wrong(
        "text",
        "annotations: a=b",
        "expected a mapping or a list of KEY=VALUE, not text",
        place="4:5",
        hint="write KEY: VALUE below it",
    ),
    Wrong(
        "number",
        "annotations: 3",
        "expected a mapping or a list of KEY=VALUE, not a number",
        place="4:5",
    ),
    Wrong(
        "nested",
        "annotations: {a: {b: c}}",
        "expected text or a number, not a mapping",
        place="4:19",
    ),
    Wrong("list-value", "annotations: {a: [b]}", "expected text or a number, not a list"),
    Wrong(
        "mapping-in-list",
        "annotations:\n  - a: b",
        "expected KEY=VALUE, not a mapping",
        place="5:9",
        hint="write each as KEY=VALUE, or all as KEY: VALUE without dashes",
    ),
    Wrong("number-in-list", "annotations: [3]", "expected KEY=VALUE, not a number"),
    Wrong(
        "repeated-key",
        "annotations:\n  a: b\n  a: c",
        'key "a" is set twice, first in line 5',
        place="6:7",
        hint="keep one of the two",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_annotations(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_annotations_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
