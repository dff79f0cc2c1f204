"""docs/conformance-distribution.md names tests that are there, and says how each scenario stands."""

from __future__ import annotations

import re

from support.pages import ROOT, missing_tests, named_tests

PAGE = (ROOT / "docs/conformance-distribution.md").read_text()
STATES = {"same", "other", "refused", "not offered"}


def test_every_test_that_is_named_is_there():
    assert len(named_tests(PAGE)) > 30
    assert not missing_tests(PAGE)


def test_every_scenario_has_a_state_and_what_happens_a_test():
    rows = re.findall(r"(?m)^\| ([^|]+) \| ([a-z ]+) \|(.*)\|$", PAGE)
    rows = [row for row in rows if row[0] != "scenario"]
    assert len(rows) > 50
    assert {state for _, state, _ in rows} <= STATES
    shown = [row for row in rows if row[1] in {"same", "refused"}]
    assert not [name for name, _, text in shown if "tests/" not in text]
