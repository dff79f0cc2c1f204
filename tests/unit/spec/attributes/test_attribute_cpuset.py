"""services.*.cpuset (compose-spec 05-services.md, cpuset)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.cpuset"

CASES = (
    Case("range", "cpuset: 0-3", "0-3"),
    Case("list", "cpuset: 0,1", "0,1"),
    Case("quoted", "cpuset: '0'", "0"),
    Case("unset", "tty: true", ABSENT),
    Case("variable", "cpuset: ${A}-${B}", "0-3", env={"A": "0", "B": "3"}),
    Case("merged", "cpuset: '0'", "1", over="cpuset: '1'"),
    Case("reset", "cpuset: '0'", ABSENT, over="cpuset: !reset null"),
)

WRONG = (
    Wrong(
        "number", "cpuset: 0", "expected text, not a number", place="4:5", hint="put it in quotes"
    ),
    Wrong(
        "items", "cpuset: [0, 1]", "expected text, not a list", place="4:5", hint="put it in quotes"
    ),
    Wrong("flag", "cpuset: true", "expected text, not true or false"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_cpuset(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_cpuset_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
