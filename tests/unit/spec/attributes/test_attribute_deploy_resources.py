"""services.*.deploy.resources (compose-spec deploy.md, resources)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import Case, Wrong, check, check_wrong

KEY = "services.*.deploy.resources"

CASES = (
    Case(
        "limits",
        "deploy: {resources: {limits: {cpus: '0.50', memory: 50M, pids: 1}}}",
        {"limits": {"cpus": 0.5, "memory": "52428800", "pids": 1}},
    ),
    Case(
        "reservations",
        "deploy: {resources: {reservations: {cpus: '0.25', memory: 20M}}}",
        {"reservations": {"cpus": 0.25, "memory": "20971520"}},
    ),
    Case(
        "numbers",
        "deploy: {resources: {limits: {cpus: 1.5, pids: '10'}}}",
        {"limits": {"cpus": 1.5, "pids": 10}},
    ),
    Case(
        "sizes",
        "deploy: {resources: {limits: {memory: 1.5gb}, reservations: {memory: '1024'}}}",
        {"limits": {"memory": "1610612736"}, "reservations": {"memory": "1024"}},
    ),
    Case(
        "empty",
        "deploy: {resources: {limits: {}, reservations: {}}}",
        {"limits": {}, "reservations": {}},
    ),
    Case(
        "variables",
        "deploy: {resources: {limits: {cpus: '${C}', memory: '${M}', pids: '${P}'}}}",
        {"limits": {"cpus": 2, "memory": "1073741824", "pids": 5}},
        env={"C": "2", "M": "1g", "P": "5"},
    ),
    Case(
        "extension",
        "deploy: {resources: {x-a: b, limits: {x-c: d, pids: 1}}}",
        {"limits": {"pids": 1}},
    ),
    Case("pids-unlimited", "deploy: {resources: {limits: {pids: -1}}}", {"limits": {"pids": -1}}),
    Case(
        "merged",
        "deploy: {resources: {limits: {cpus: '1', memory: 1g}}}",
        {"limits": {"cpus": 2, "memory": "1073741824"}, "reservations": {"memory": "1048576"}},
        over="deploy: {resources: {limits: {cpus: '2'}, reservations: {memory: 1m}}}",
    ),
    Case(
        "overridden",
        "deploy: {resources: {limits: {cpus: '1', memory: 1g}}}",
        {"limits": {"pids": 3}},
        over="deploy: {resources: {limits: !override {pids: 3}}}",
    ),
    Case(
        "as-mem-limit",
        "mem_limit: 1g\ndeploy: {resources: {limits: {memory: 1g}}}",
        {"limits": {"memory": "1073741824"}},
    ),
)

WRONG = (
    Wrong(
        "memory-number",
        "deploy: {resources: {limits: {memory: 1024}}}",
        "expected text, not a number",
        place="4:35",
        hint='put it in quotes, best with a unit: "512m"',
    ),
    Wrong(
        "memory-word",
        "deploy: {resources: {limits: {memory: much}}}",
        "expected a size, not text",
        place="4:35",
        hint='write bytes, or a unit as in "512m"',
    ),
    Wrong(
        "memory-unit", "deploy: {resources: {limits: {memory: 1x}}}", "expected a size, not text"
    ),
    Wrong(
        "cpus-word",
        "deploy: {resources: {limits: {cpus: all}}}",
        "expected a number, not text",
        place="4:35",
        hint="write it in digits, without a unit",
    ),
    Wrong(
        "cpus-flag",
        "deploy: {resources: {reservations: {cpus: true}}}",
        "expected a number, not true or false",
    ),
    Wrong(
        "pids-fraction",
        "deploy: {resources: {limits: {pids: 1.5}}}",
        "expected a whole number, not a fraction",
    ),
    Wrong(
        "pids-reserved",
        "deploy: {resources: {reservations: {pids: 1}}}",
        'unknown key "pids"',
        hint="known here: cpus, devices, generic_resources, memory",
    ),
    Wrong(
        "unknown",
        "deploy:\n  resources:\n    limit: {cpus: '1'}",
        'unknown key "limit"',
        place="6:9",
        hint='did you mean "limits"?',
    ),
    Wrong(
        "unknown-limit",
        "deploy:\n  resources:\n    limits: {mem: 1g}",
        'unknown key "mem"',
        place="6:18",
        hint='did you mean "memory"?',
    ),
    Wrong("list", "deploy: {resources: [1g]}", "expected a mapping, not a list"),
    Wrong(
        "memory-reserved-number",
        "deploy: {resources: {reservations: {memory: 1}}}",
        "expected text, not a number",
    ),
    Wrong(
        "differs",
        "mem_limit: 2g\ndeploy: {resources: {limits: {memory: 1g}}}",
        "mem_limit and deploy.resources.limits.memory differ",
        place="4:5",
        hint="keep one",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_deploy_resources(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_deploy_resources_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
