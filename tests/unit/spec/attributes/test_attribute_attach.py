"""services.*.attach (compose-spec 05-services.md, attach)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.attach"

CASES = (
    Case("true", "attach: true", True),
    Case("false", "attach: false", False),
    Case("unset", "tty: true", ABSENT),
    Case("text", "attach: 'false'", False),
    Case("variable", "attach: ${ATTACH}", False, env={"ATTACH": "false"}),
    Case("default", "attach: ${ATTACH:-true}", True),
    Case("merged", "attach: true", False, over="attach: false"),
    Case("reset", "attach: false", ABSENT, over="attach: !reset null"),
)

WRONG = (
    Wrong(
        "word",
        "attach: maybe",
        "expected true or false, not text",
        place="4:5",
        hint="write true or false",
    ),
    Wrong("number", "attach: 1", "expected true or false, not a number", place="4:5"),
    Wrong("list", "attach: [true]", "expected true or false, not a list"),
    Wrong("mapping", "attach: {logs: true}", "expected true or false, not a mapping"),
    Wrong(
        "empty-variable",
        "attach: ${ATTACH}",
        "expected true or false, not empty text",
        env={"ATTACH": ""},
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_attach(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_attach_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
