"""services.*.hostname (compose-spec 05-services.md, hostname)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.hostname"

CASES = (
    Case("name", "hostname: web-1", "web-1"),
    Case("dotted", "hostname: web.example.com", "web.example.com"),
    Case("unset", "tty: true", ABSENT),
    Case("empty", "hostname: ''", ABSENT),
    Case("variable", "hostname: 'web-${N}'", "web-2", env={"N": "2"}),
    Case("merged", "hostname: a", "b", over="hostname: b"),
    Case("reset", "hostname: a", ABSENT, over="hostname: !reset null"),
)

WRONG = (
    Wrong(
        "number", "hostname: 5", "expected text, not a number", place="4:5", hint="put it in quotes"
    ),
    Wrong("list", "hostname: [a]", "expected text, not a list"),
    Wrong("flag", "hostname: true", "expected text, not true or false"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_hostname(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_hostname_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
