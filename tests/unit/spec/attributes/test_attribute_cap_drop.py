"""services.*.cap_drop (compose-spec 05-services.md, cap_drop)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.cap_drop"

CASES = (
    Case("list", "cap_drop: [NET_ADMIN, SYS_ADMIN]", ["NET_ADMIN", "SYS_ADMIN"]),
    Case("empty", "cap_drop: []", ABSENT),
    Case(
        "null",
        "cap_drop:",
        ABSENT,
        ours="it refuses what has no value, its predecessor took it as none",
    ),
    Case("repeated", "cap_drop: [ALL, ALL]", ["ALL"]),
    Case("with-prefix", "cap_drop: [CAP_CHOWN, all]", ["CAP_CHOWN", "all"]),
    Case("variable", "cap_drop: ['${CAP:-ALL}']", ["ALL"]),
    Case("appended", "cap_drop: [NET_ADMIN]", ["NET_ADMIN", "ALL"], over="cap_drop: [ALL]"),
    Case("once", "cap_drop: [ALL, CHOWN]", ["ALL", "CHOWN", "KILL"], over="cap_drop: [KILL, ALL]"),
    Case("overridden", "cap_drop: [ALL]", ["KILL"], over="cap_drop: !override [KILL]"),
    Case("reset", "cap_drop: [ALL]", ABSENT, over="cap_drop: !reset null"),
)

WRONG = (
    Wrong(
        "text",
        "cap_drop: ALL",
        "expected a list, not text",
        place="4:5",
        hint="begin each item with a dash, or put them in brackets",
    ),
    Wrong("mapping", "cap_drop: {ALL: true}", "expected a list, not a mapping"),
    Wrong("number", "cap_drop: [ALL, 1]", "expected text, not a number", place="4:21"),
    Wrong("nested", "cap_drop: [[ALL]]", "expected text, not a list"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_cap_drop(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_cap_drop_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
