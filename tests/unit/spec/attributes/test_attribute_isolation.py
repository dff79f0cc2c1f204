"""services.*.isolation (compose-spec 05-services.md, isolation)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.isolation"

CASES = (
    Case("default", "isolation: default", "default"),
    Case("hyperv", "isolation: hyperv", "hyperv"),
    Case("unset", "tty: true", ABSENT),
    Case("variable", "isolation: ${I}", "process", env={"I": "process"}),
    Case("merged", "isolation: default", "process", over="isolation: process"),
    Case("reset", "isolation: default", ABSENT, over="isolation: !reset null"),
)

WRONG = (
    Wrong(
        "number",
        "isolation: 1",
        "expected text, not a number",
        place="4:5",
        hint="put it in quotes",
    ),
    Wrong("list", "isolation: [default]", "expected text, not a list"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_isolation(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_isolation_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
