"""services.*.restart (compose-spec 05-services.md, restart)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.restart"

CASES = (
    Case("always", "restart: always", "always"),
    Case("no", 'restart: "no"', "no"),
    Case("no-unquoted", "restart: no", "no"),
    Case("on-failure", "restart: on-failure", "on-failure"),
    Case("on-failure-count", "restart: on-failure:3", "on-failure:3"),
    Case("unless-stopped", "restart: unless-stopped", "unless-stopped"),
    Case("any", "restart: sometimes", "sometimes"),
    Case("empty", "restart: ''", ABSENT),
    Case("null", "restart:", ABSENT, ours=NULL),
    Case("variable", "restart: '${R:-always}'", "always"),
    Case("over", "restart: always", "no", over="restart: no"),
    Case("over-null", "restart: always", "always", over="restart:"),
    Case("reset", "restart: always", ABSENT, over="restart: !reset null"),
)

WRONG = (
    Wrong(
        "false", "restart: false", "expected text, not true or false", place="4:5", hint="quotes"
    ),
    Wrong("number", "restart: 3", "expected text, not a number"),
    Wrong("list", "restart: [always]", "expected text, not a list"),
    Wrong("mapping", "restart: {condition: any}", "expected text, not a mapping"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_restart(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_restart_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
