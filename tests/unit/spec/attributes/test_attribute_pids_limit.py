"""services.*.pids_limit (compose-spec 05-services.md, pids_limit)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.pids_limit"

CASES = (
    Case("number", "pids_limit: 10", 10),
    Case("unlimited", "pids_limit: -1", -1),
    Case("zero", "pids_limit: 0", ABSENT),
    Case("text", "pids_limit: '10'", 10),
    Case("plus", "pids_limit: '+10'", 10),
    Case("point", "pids_limit: 10.0", 10),
    Case("exponent", "pids_limit: 1e2", 100),
    Case("variable", "pids_limit: '${PIDS:-7}'", 7),
    Case("null", "pids_limit:", ABSENT, ours=NULL),
    Case("over", "pids_limit: 1", 2, over="pids_limit: 2"),
    Case("reset", "pids_limit: 1", ABSENT, over="pids_limit: !reset null"),
    Case(
        "equal-deploy",
        """
        pids_limit: 5
        deploy: {resources: {limits: {pids: 5}}}
        """,
        5,
    ),
)

WRONG = (
    Wrong(
        "word", "pids_limit: many", "expected a whole number, not text", place="4:5", hint="digits"
    ),
    Wrong("space", "pids_limit: ' 10'", "expected a whole number, not text"),
    Wrong("underscore", "pids_limit: '1_0'", "expected a whole number, not text"),
    Wrong("fraction", "pids_limit: 10.5", "not a fraction", ours="it cuts the fraction off"),
    Wrong("fraction-text", "pids_limit: '10.5'", "expected a whole number, not text"),
    Wrong("bool", "pids_limit: true", "expected a whole number, not true or false"),
    Wrong("list", "pids_limit: [1]", "expected a whole number, not a list"),
    Wrong("large-text", "pids_limit: '9223372036854775808'", "too large", hint="64 bits"),
    Wrong("large", "pids_limit: 9223372036854775808", "too large", ours="it takes it as negative"),
    Wrong(
        "differs",
        """
        pids_limit: 4
        deploy: {resources: {limits: {pids: 5}}}
        """,
        "pids_limit and deploy.resources.limits.pids differ",
        place="4:5",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_pids_limit(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_pids_limit_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
