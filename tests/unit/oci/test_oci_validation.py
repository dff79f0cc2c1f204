"""The counting of scripts.validation: what a scenario of the OCI's suite printed, and what it means."""

from __future__ import annotations

import pytest

from scripts.validation import known, page, tap
from scripts.validation.suite import Outcome

TAP = """TAP version 13
ok 1 - has a name
not ok 2 - has expected soft RLIMIT_NOFILE
  ---
  {
    "actual": 3999,
    "error": "of an assertion"
  }
  ...
ok 3 # SKIP not set
ok 4
1..4
"""
COMPLAINT = """TAP version 13
  ---
  {
    "error": "Hooks MUST be called\\nRefer to: somewhere"
  }
  ...
1..0
"""


def test_assertions_are_the_lines_of_tap() -> None:
    found = tap.assertions(TAP)
    assert [item.passed for item in found] == [True, False, True, True]
    assert [item.name for item in found] == [
        "has a name",
        "has expected soft RLIMIT_NOFILE",
        "# SKIP not set",
        "",
    ]
    assert tap.assertions(COMPLAINT) == ()


def test_a_complaint_is_its_first_line() -> None:
    assert tap.complaint(COMPLAINT) == "Hooks MUST be called"
    assert tap.complaint("1..0\n") == ""


def outcome(text: str, complaint: str = "", void: int = 0) -> Outcome:
    return Outcome(tap.assertions(text), complaint, void)


def test_what_a_runtime_did_not_come_to_is_missing() -> None:
    results = {
        "a": {"ours": outcome(TAP), "theirs": outcome("", "exit code 1", void=7)},
        "b": {"ours": outcome("ok 1 - x\n"), "theirs": outcome("ok 1 - x\n")},
        "c": {"ours": outcome(""), "theirs": outcome("")},
    }
    assert page.totals(results, "ours") == {
        "passed": 4,
        "failed": 1,
        "missing": 0,
        "void": 0,
        "clean": 2,
    }
    assert page.totals(results, "theirs") == {
        "passed": 1,
        "failed": 0,
        "missing": 4,
        "void": 7,
        "clean": 2,
    }


@pytest.mark.parametrize(
    ("scenario", "assertion", "reason"),
    [("hooks", "in order", "why"), ("hooks_stdin", "in order", ""), ("hooks", "other", "")],
)
def test_a_known_failure_has_its_reason(scenario: str, assertion: str, reason: str) -> None:
    table = [known.Known("hooks", "in *", "why")]
    assert known.explain(scenario, assertion, table) == reason
    assert table[0].met == bool(reason)


def test_the_table_can_be_read() -> None:
    rows = known.read()
    assert all(row.scenario and row.assertion and row.reason for row in rows)
