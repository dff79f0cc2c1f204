"""services.*.device_cgroup_rules (compose-spec 05-services.md, device_cgroup_rules)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.device_cgroup_rules"

CASES = (
    Case("rules", "device_cgroup_rules: ['c 1:3 mr', 'a 7:* rmw']", ["c 1:3 mr", "a 7:* rmw"]),
    Case("empty", "device_cgroup_rules: []", ABSENT),
    Case("variable", "device_cgroup_rules: ['c ${MAJOR}:* r']", ["c 5:* r"], env={"MAJOR": "5"}),
    Case(
        "appended",
        "device_cgroup_rules: ['c 1:3 mr']",
        ["c 1:3 mr", "b 8:* r"],
        over="device_cgroup_rules: ['b 8:* r']",
    ),
    Case(
        "appended-again",
        "device_cgroup_rules: ['c 1:3 mr']",
        ["c 1:3 mr"],
        over="device_cgroup_rules: ['c 1:3 mr']",
    ),
    Case(
        "overridden",
        "device_cgroup_rules: ['c 1:3 mr']",
        ["b 8:* r"],
        over="device_cgroup_rules: !override ['b 8:* r']",
    ),
    Case(
        "reset",
        "device_cgroup_rules: ['c 1:3 mr']",
        ABSENT,
        over="device_cgroup_rules: !reset null",
    ),
)

WRONG = (
    Wrong(
        "text",
        "device_cgroup_rules: c 1:3 mr",
        "expected a list, not text",
        place="4:5",
        hint="begin each item with a dash, or put them in brackets",
    ),
    Wrong(
        "number",
        "device_cgroup_rules: [1]",
        "expected text, not a number",
        place="4:27",
        hint="put it in quotes",
    ),
    Wrong("mapping", "device_cgroup_rules: [{c: r}]", "expected text, not a mapping"),
    Wrong(
        "repeated",
        "device_cgroup_rules: ['c 1:3 mr', 'c 1:3 mr']",
        "the list holds this twice",
        place="4:39",
        hint="keep one",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_device_cgroup_rules(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_device_cgroup_rules_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
