"""docs/conformance-dockerfile.md names tests that are there, and says how each scenario stands."""

from __future__ import annotations

import re
from collections import Counter

from support.pages import ROOT, missing_tests, named_tests

PAGE = (ROOT / "docs/conformance-dockerfile.md").read_text()
STATES = {"same", "other", "refused", "not offered", "not applicable", "not tested"}


def test_every_test_that_is_named_is_there():
    assert len(named_tests(PAGE)) > 100
    assert not missing_tests(PAGE)


def test_every_scenario_has_a_state_and_the_same_ones_a_test():
    rows = re.findall(r"(?m)^\| (\w+|[\w/]+\.go) \| ([a-z ]+) \| (.*) \|$", PAGE)
    rows = [row for row in rows if row[0] not in ("scenario", "file")]
    assert len(rows) > 250
    assert {state for _, state, _ in rows} <= STATES
    assert not [name for name, state, text in rows if state == "same" and "tests/" not in text]
    assert not [name for name, _, text in rows if not text.strip()]


def test_the_counts_are_right():
    rows = re.findall(r"(?m)^\| (test\w+) \| ([a-z ]+) \| ", PAGE)
    counted = Counter(state for _, state in rows)
    [line] = re.findall(r"(?m)^Of (\d+) scenarios (.*)\.$", PAGE)
    assert int(line[0]) == len(rows)
    told = re.findall(r"(\d+) are ([a-z ]+)", line[1])
    assert {state: int(number) for number, state in told} == counted
