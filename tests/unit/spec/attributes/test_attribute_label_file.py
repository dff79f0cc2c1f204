"""services.*.label_file (compose-spec 05-services.md, label_file)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.label_file"

LABELS = "services.*.labels"

CASES = (
    Case(
        "text",
        "label_file: ./app.labels",
        {"c": "d e", "com.example.a": "b"},
        key=LABELS,
        files={"app.labels": "com.example.a=b\nc=d e\n"},
    ),
    Case(
        "list",
        "label_file: [a, b]",
        {"x": "1", "y": "2"},
        key=LABELS,
        files={"a": "x=1\ny=1\n", "b": "y=2\n"},
    ),
    Case(
        "labels-first",
        "label_file: a\nlabels: {x: own}",
        {"x": "own", "y": "1"},
        key=LABELS,
        files={"a": "x=1\ny=1\n"},
    ),
    Case(
        "quotes-and-comments",
        "label_file: a",
        {"x": "1 # 2", "y": "a\tb", "z": "1"},
        key=LABELS,
        files={"a": "# c\nx='1 # 2'\ny=\"a\\tb\"\nz=1 # c\n"},
    ),
    Case("empty-value", "label_file: a", {"x": ""}, key=LABELS, files={"a": "x=\n"}),
    Case("is-gone", "label_file: a", ["$HERE/a"], files={"a": "x=1\n"}),
    Case(
        "variable",
        "label_file: '${F}'",
        {"x": "1"},
        key=LABELS,
        files={"a": "x=1\n"},
        env={"F": "a"},
    ),
    Case("empty-list", "label_file: []", ABSENT, key=LABELS),
    Case(
        "appended",
        "label_file: a",
        {"x": "1", "y": "2"},
        key=LABELS,
        files={"a": "x=1\ny=1\n", "b": "y=2\n"},
        over="label_file: b",
    ),
    Case(
        "overridden",
        "label_file: a",
        {"y": "2"},
        key=LABELS,
        files={"a": "x=1\n", "b": "y=2\n"},
        over="label_file: !override b",
    ),
    Case("reset", "label_file: none", ABSENT, key=LABELS, over="label_file: !reset null"),
)

WRONG = (
    Wrong(
        "missing",
        "label_file: none.labels",
        'label file "$HERE/none.labels" does not exist',
        place="4:5",
        hint="create it",
    ),
    Wrong(
        "number",
        "label_file: 3",
        "expected text or a list, not a number",
        place="4:5",
        hint="write one text, or a list with each item in quotes",
    ),
    Wrong(
        "mapping",
        "label_file: {path: a}",
        "expected text or a list, not a mapping",
        files={"a": ""},
        hint="write one text, or a list with each item in quotes",
    ),
    Wrong(
        "mapping-in-list",
        "label_file: [{path: a}]",
        "expected text, not a mapping",
        files={"a": ""},
        place="4:18",
        hint="put it in quotes",
    ),
    Wrong(
        "malformed",
        "label_file: a",
        "a variable's name cannot contain a space",
        files={"a": "x=1\na b=2\n"},
        place="2:0",
        hint="write NAME=value",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_label_file(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_label_file_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
