"""services.*.domainname (compose-spec 05-services.md, domainname)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.domainname"

CASES = (
    Case("name", "domainname: example.com", "example.com"),
    Case("unset", "tty: true", ABSENT),
    Case("empty", "domainname: ''", ABSENT),
    Case("variable", "domainname: '${ZONE}.example'", "a.example", env={"ZONE": "a"}),
    Case("merged", "domainname: a.example", "b.example", over="domainname: b.example"),
    Case("reset", "domainname: a.example", ABSENT, over="domainname: !reset null"),
)

WRONG = (
    Wrong(
        "number",
        "domainname: 5",
        "expected text, not a number",
        place="4:5",
        hint="put it in quotes",
    ),
    Wrong("list", "domainname: [a.example]", "expected text, not a list", place="4:5"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_domainname(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_domainname_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
