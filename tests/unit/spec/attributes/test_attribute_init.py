"""services.*.init (compose-spec 05-services.md, init)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.init"

CASES = (
    Case("true", "init: true", True),
    Case("false", "init: false", False),
    Case("unset", "tty: true", ABSENT),
    Case("text", "init: 'true'", True),
    Case("old-yes", "init: 'yes'", True),
    Case("variable", "init: ${INIT}", False, env={"INIT": "false"}),
    Case("merged", "init: true", False, over="init: false"),
    Case("reset", "init: true", ABSENT, over="init: !reset null"),
)

WRONG = (
    Wrong(
        "path",
        "init: /sbin/init",
        "expected true or false, not text",
        place="4:5",
        hint="write true or false",
    ),
    Wrong("number", "init: 1", "expected true or false, not a number", place="4:5"),
    Wrong("list", "init: [true]", "expected true or false, not a list"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_init(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_init_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
