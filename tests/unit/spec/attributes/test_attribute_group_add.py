"""services.*.group_add (compose-spec 05-services.md, group_add)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.group_add"

CASES = (
    Case("names", "group_add: [mail, audio]", ["mail", "audio"]),
    Case("numbers", "group_add: [1000, '1001']", ["1000", "1001"]),
    Case("empty", "group_add: []", ABSENT),
    Case("variable", "group_add: ['${GID}']", ["998"], env={"GID": "998"}),
    Case("appended", "group_add: [a]", ["a", "b"], over="group_add: [b]"),
    Case("once", "group_add: [a, b]", ["a", "b"], over="group_add: [a]"),
    Case("overridden", "group_add: [a]", ["b"], over="group_add: !override [b]"),
    Case("reset", "group_add: [a]", ABSENT, over="group_add: !reset []"),
)

WRONG = (
    Wrong(
        "text",
        "group_add: mail",
        "expected a list, not text",
        place="4:5",
        hint="begin each item with a dash, or put them in brackets",
    ),
    Wrong("number", "group_add: 8", "expected a list, not a number"),
    Wrong(
        "flag",
        "group_add: [true]",
        "expected text or a number, not true or false",
        place="4:17",
        hint="a value is one line of text: put it in quotes",
    ),
    Wrong("mapping", "group_add: [{mail: 8}]", "expected text or a number, not a mapping"),
    Wrong(
        "repeated", "group_add: [a, a]", "the list holds this twice", place="4:20", hint="keep one"
    ),
    Wrong(
        "repeated-number",
        "group_add: [8, 8]",
        "the list holds this twice",
        place="4:20",
        hint="keep one",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_group_add(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_group_add_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
