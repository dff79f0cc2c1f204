"""services.*.pull_policy and pull_refresh_after (compose-spec 05-services.md, pull_policy)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.pull_policy"
COVERS = ("services.*.pull_refresh_after",)

CASES = (
    Case("always", "pull_policy: always", "always"),
    Case("never", "pull_policy: never", "never"),
    Case("build", "pull_policy: build", "build"),
    Case("missing", "pull_policy: missing", "missing"),
    Case("if-not-present", "pull_policy: if_not_present", "missing"),
    Case("refresh", "pull_policy: refresh", "refresh"),
    Case("daily", "pull_policy: daily", "daily"),
    Case("weekly", "pull_policy: weekly", "weekly"),
    Case("every", "pull_policy: every_12h", "every_12h"),
    Case("every-compound", "pull_policy: every_1w2d3h4m5s", "every_1w2d3h4m5s"),
    Case("variable", "pull_policy: '${PULL}'", "never", env={"PULL": "never"}),
    Case("null", "pull_policy:", ABSENT, ours=NULL),
    Case("over", "pull_policy: always", "never", over="pull_policy: never"),
    Case("reset", "pull_policy: always", ABSENT, over="pull_policy: !reset null"),
    Case(
        "after",
        """
        pull_policy: refresh
        pull_refresh_after: 3d
        """,
        "3d",
        key="services.*.pull_refresh_after",
    ),
    Case("after-alone", "pull_refresh_after: 3d", "3d", key="services.*.pull_refresh_after"),
    Case(
        "after-null", "pull_refresh_after:", ABSENT, key="services.*.pull_refresh_after", ours=NULL
    ),
    Case(
        "after-over",
        "pull_refresh_after: 3d",
        "4d",
        over="pull_refresh_after: 4d",
        key="services.*.pull_refresh_after",
    ),
)

WRONG = (
    Wrong(
        "near",
        "pull_policy: alway",
        "expected a pull policy",
        place="4:5",
        hint='did you mean "always"?',
    ),
    Wrong(
        "word",
        "pull_policy: sometimes",
        "expected a pull policy",
        hint="use always, build, daily, if_not_present, missing, never, refresh, weekly, or every_",
    ),
    Wrong("capital", "pull_policy: Always", "expected a pull policy", hint='"always"'),
    Wrong("empty", "pull_policy: ''", "expected a pull policy"),
    Wrong("longer", "pull_policy: refreshing", "expected a pull policy", hint='"refresh"'),
    Wrong("every-nothing", "pull_policy: every_", "expected a pull policy"),
    Wrong("every-unitless", "pull_policy: every_12", "expected a pull policy"),
    Wrong("every-unit", "pull_policy: every_12x", "expected a pull policy", hint="every_12h"),
    Wrong("every-fraction", "pull_policy: every_1.5h", "expected a pull policy"),
    Wrong("every-millisecond", "pull_policy: every_1ms", "expected a pull policy"),
    Wrong("number", "pull_policy: 3", "expected text, not a number"),
    Wrong("list", "pull_policy: [always]", "expected text, not a list"),
    Wrong("after-number", "pull_refresh_after: 3", "expected text, not a number", place="4:5"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_pull_policy(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_pull_policy_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
