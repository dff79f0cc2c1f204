"""services.*.deploy.placement (compose-spec deploy.md, placement)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import Case, Wrong, check, check_wrong

KEY = "services.*.deploy.placement"

CASES = (
    Case("empty", "deploy: {placement: {}}", {}),
    Case(
        "constraints",
        "deploy: {placement: {constraints: [disktype=ssd, node.role==manager]}}",
        {"constraints": ["disktype=ssd", "node.role==manager"]},
    ),
    Case(
        "preferences",
        "deploy: {placement: {preferences: [{spread: node.labels.zone}]}}",
        {"preferences": [{"spread": "node.labels.zone"}]},
    ),
    Case(
        "per-node", "deploy: {placement: {max_replicas_per_node: 2}}", {"max_replicas_per_node": 2}
    ),
    Case(
        "per-node-text",
        "deploy: {placement: {max_replicas_per_node: '2'}}",
        {"max_replicas_per_node": 2},
    ),
    Case("extension", "deploy: {placement: {x-a: b}}", {}),
    Case(
        "variable",
        "deploy: {placement: {constraints: ['zone==${Z}']}}",
        {"constraints": ["zone==a"]},
        env={"Z": "a"},
    ),
    Case(
        "appended",
        "deploy: {placement: {constraints: [a, b]}}",
        {"constraints": ["a", "b", "c"]},
        over="deploy: {placement: {constraints: [b, c]}}",
    ),
    Case(
        "preferences-appended",
        "deploy: {placement: {preferences: [{spread: a}]}}",
        {"preferences": [{"spread": "a"}, {"spread": "b"}]},
        over="deploy: {placement: {preferences: [{spread: b}, {spread: a}]}}",
    ),
    Case(
        "overridden",
        "deploy: {placement: {constraints: [a]}}",
        {"max_replicas_per_node": 1},
        over="deploy: {placement: !override {max_replicas_per_node: 1}}",
    ),
)

WRONG = (
    Wrong(
        "list",
        "deploy: {placement: [a]}",
        "expected a mapping, not a list",
        place="4:14",
        hint="write KEY: VALUE below it",
    ),
    Wrong(
        "constraints-text",
        "deploy: {placement: {constraints: a}}",
        "expected a list, not text",
        place="4:26",
        hint="begin each item with a dash, or put them in brackets",
    ),
    Wrong(
        "constraint-number",
        "deploy: {placement: {constraints: [1]}}",
        "expected text, not a number",
        place="4:40",
        hint="put it in quotes",
    ),
    Wrong(
        "unknown",
        "deploy:\n  placement:\n    constraint: [a]",
        'unknown key "constraint"',
        place="6:9",
        hint='did you mean "constraints"?',
    ),
    Wrong(
        "preference-text",
        "deploy: {placement: {preferences: [zone]}}",
        "expected a mapping, not text",
    ),
    Wrong(
        "preference-unknown",
        "deploy: {placement: {preferences: [{spraed: zone}]}}",
        'unknown key "spraed"',
        hint='did you mean "spread"?',
    ),
    Wrong(
        "per-node-negative",
        "deploy: {placement: {max_replicas_per_node: -1}}",
        "expected at least 0",
    ),
    Wrong(
        "per-node-word",
        "deploy: {placement: {max_replicas_per_node: few}}",
        "expected a whole number, not text",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_deploy_placement(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_deploy_placement_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
