"""services.*.expose (compose-spec 05-services.md, expose)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.expose"

CASES = (
    Case("texts", "expose: ['3000', 8080-8085/tcp, 53/udp]", ["3000", "8080-8085/tcp", "53/udp"]),
    Case("numbers", "expose: [3000, 8000]", ["3000", "8000"]),
    Case("repeated", "expose: ['80', '80']", ["80"]),
    Case("empty", "expose: []", ABSENT),
    Case("variable", "expose: ['${PORT}']", ["80"], env={"PORT": "80"}),
    Case("appended", "expose: ['80']", ["80", "81"], over="expose: ['81']"),
    Case("once", "expose: ['80', '81']", ["80", "81"], over="expose: ['80']"),
    Case("overridden", "expose: ['80']", ["81"], over="expose: !override ['81']"),
    Case("reset", "expose: ['80']", ABSENT, over="expose: !reset []"),
)

WRONG = (
    Wrong(
        "text",
        "expose: '80'",
        "expected a list, not text",
        place="4:5",
        hint="begin each item with a dash, or put them in brackets",
    ),
    Wrong("number", "expose: 80", "expected a list, not a number"),
    Wrong("mapping", "expose: {80: 80}", "a key must be text"),
    Wrong(
        "flag-in-list",
        "expose: [true]",
        "expected text or a number, not true or false",
        place="4:14",
        hint="a value is one line of text: put it in quotes",
    ),
    Wrong(
        "mapping-in-list",
        "expose: [{target: 80}]",
        "expected text or a number, not a mapping",
        place="4:14",
        hint="a value is one line of text: put it in quotes",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_expose(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_expose_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
