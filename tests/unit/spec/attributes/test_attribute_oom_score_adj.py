"""services.*.oom_score_adj (compose-spec 05-services.md, oom_score_adj)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.oom_score_adj"

CASES = (
    Case("number", "oom_score_adj: 500", 500),
    Case("negative", "oom_score_adj: -500", -500),
    Case("least", "oom_score_adj: -1000", -1000),
    Case("most", "oom_score_adj: 1000", 1000),
    Case("zero", "oom_score_adj: 0", ABSENT),
    Case("text", "oom_score_adj: '500'", 500),
    Case("negative-text", "oom_score_adj: '-500'", -500),
    Case("point", "oom_score_adj: 10.0", 10),
    Case("octal", "oom_score_adj: 0o17", 15),
    Case("variable", "oom_score_adj: '${ADJ}'", 3, env={"ADJ": "3"}),
    Case("null", "oom_score_adj:", ABSENT, ours=NULL),
    Case("over", "oom_score_adj: 1", 2, over="oom_score_adj: '2'"),
    Case("reset", "oom_score_adj: 1", ABSENT, over="oom_score_adj: !reset null"),
)

WRONG = (
    Wrong("below", "oom_score_adj: -1001", "expected at least -1000", place="4:5", hint="greater"),
    Wrong("above", "oom_score_adj: 1001", "expected at most 1000", place="4:5", hint="smaller"),
    Wrong("above-text", "oom_score_adj: '1001'", "expected at most 1000"),
    Wrong(
        "fraction", "oom_score_adj: 1.5", "expected a whole number, not a fraction", hint="digits"
    ),
    Wrong("word", "oom_score_adj: much", "expected a whole number, not text"),
    Wrong("empty", "oom_score_adj: ''", "expected a whole number, not empty text"),
    Wrong("bool", "oom_score_adj: true", "expected a whole number, not true or false"),
    Wrong("list", "oom_score_adj: [1]", "expected a whole number, not a list"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_oom_score_adj(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_oom_score_adj_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
