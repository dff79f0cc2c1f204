"""services.*.cap_add (compose-spec 05-services.md, cap_add)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.cap_add"

CASES = (
    Case("list", "cap_add: [NET_ADMIN, SYS_TIME]", ["NET_ADMIN", "SYS_TIME"]),
    Case("empty", "cap_add: []", ABSENT),
    Case(
        "null",
        "cap_add:",
        ABSENT,
        ours="it refuses a list without a value, its predecessor took it as none",
    ),
    Case("repeated", "cap_add: [ALL, ALL]", ["ALL"]),
    Case("variable", "cap_add: ['${CAP}']", ["ALL"], env={"CAP": "ALL"}),
    Case("appended", "cap_add: [NET_ADMIN]", ["NET_ADMIN", "ALL"], over="cap_add: [ALL]"),
    Case("once", "cap_add: [ALL, CHOWN]", ["ALL", "CHOWN", "KILL"], over="cap_add: [KILL, ALL]"),
    Case("overridden", "cap_add: [ALL]", ["KILL"], over="cap_add: !override [KILL]"),
    Case("reset", "cap_add: [ALL]", ABSENT, over="cap_add: !reset null"),
)

WRONG = (
    Wrong(
        "text", "cap_add: ALL", "expected a list", place="4:5", hint="begin each item with a dash"
    ),
    Wrong("mapping", "cap_add: {ALL: true}", "expected a list"),
    Wrong("number", "cap_add: [1]", "expected text", place="4:15", hint="put it in quotes"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_cap_add(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_cap_add_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
