"""services.*.deploy (compose-spec deploy.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.deploy"

CASES = (
    Case("empty", "deploy: {}", {"resources": {}, "placement": {}}),
    Case("null", "deploy:", ABSENT),
    Case(
        "mode",
        "deploy: {mode: replicated}",
        {"mode": "replicated", "resources": {}, "placement": {}},
    ),
    Case(
        "mode-global",
        "deploy: {mode: global}",
        {"mode": "global", "resources": {}, "placement": {}},
    ),
    Case(
        "endpoint-mode",
        "deploy: {endpoint_mode: dnsrr}",
        {"resources": {}, "placement": {}, "endpoint_mode": "dnsrr"},
    ),
    Case("replicas", "deploy: {replicas: 6}", {"replicas": 6, "resources": {}, "placement": {}}),
    Case(
        "replicas-zero", "deploy: {replicas: 0}", {"replicas": 0, "resources": {}, "placement": {}}
    ),
    Case(
        "replicas-text",
        "deploy: {replicas: '2'}",
        {"replicas": 2, "resources": {}, "placement": {}},
    ),
    Case(
        "replicas-variable",
        "deploy: {replicas: '${N:-3}'}",
        {"replicas": 3, "resources": {}, "placement": {}},
    ),
    Case(
        "replicas-by-scale",
        "scale: 2\ndeploy: {mode: replicated}",
        {"mode": "replicated", "replicas": 2, "resources": {}, "placement": {}},
    ),
    Case(
        "replicas-as-scale",
        "scale: 2\ndeploy: {replicas: 2}",
        {"replicas": 2, "resources": {}, "placement": {}},
    ),
    Case(
        "labels",
        "deploy: {labels: {com.example.a: b, n: 3}}",
        {"labels": {"com.example.a": "b", "n": "3"}, "resources": {}, "placement": {}},
    ),
    Case(
        "labels-list",
        "deploy: {labels: [a=b, c]}",
        {"labels": {"a": "b", "c": ""}, "resources": {}, "placement": {}},
    ),
    Case(
        "extension",
        "deploy: {x-a: b, replicas: 1}",
        {"replicas": 1, "resources": {}, "placement": {}},
    ),
    Case(
        "merged",
        "deploy: {replicas: 1, labels: {a: b}}",
        {"replicas": 2, "labels": {"a": "b", "c": "d"}, "resources": {}, "placement": {}},
        over="deploy: {replicas: 2, labels: [c=d]}",
    ),
    Case(
        "overridden",
        "deploy: {replicas: 1, mode: global}",
        {"replicas": 2, "resources": {}, "placement": {}},
        over="deploy: !override {replicas: 2}",
    ),
    Case("reset", "deploy: {replicas: 1}", ABSENT, over="deploy: !reset null"),
    Case(
        "reset-one",
        "deploy: {replicas: 2, mode: global}",
        {"mode": "global", "resources": {}, "placement": {}},
        over="deploy: {replicas: !reset null}",
    ),
)

WRONG = (
    Wrong(
        "list",
        "deploy: [a]",
        "expected a mapping, not a list",
        place="4:5",
        hint="write KEY: VALUE below it",
    ),
    Wrong("text", "deploy: global", "expected a mapping, not text"),
    Wrong(
        "unknown",
        "deploy:\n  replica: 2",
        'unknown key "replica"',
        place="5:7",
        hint='did you mean "replicas"?',
    ),
    Wrong(
        "replicas-negative",
        "deploy: {replicas: -1}",
        "expected at least 0",
        place="4:14",
        hint="choose a greater number",
    ),
    Wrong(
        "replicas-word",
        "deploy: {replicas: many}",
        "expected a whole number, not text",
        place="4:14",
        hint="write it in digits, without a unit",
    ),
    Wrong(
        "replicas-fraction", "deploy: {replicas: 1.5}", "expected a whole number, not a fraction"
    ),
    Wrong(
        "replicas-and-scale",
        "scale: 3\ndeploy: {replicas: 2}",
        "scale and deploy.replicas differ",
        place="4:5",
        hint="keep one",
    ),
    Wrong(
        "mode-number",
        "deploy: {mode: 1}",
        "expected text, not a number",
        place="4:14",
        hint="put it in quotes",
    ),
    Wrong(
        "labels-text",
        "deploy: {labels: a=b}",
        "expected a mapping or a list of KEY=VALUE, not text",
        place="4:14",
        hint="write KEY: VALUE below it",
    ),
    Wrong("endpoint-mode-list", "deploy: {endpoint_mode: [vip]}", "expected text, not a list"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_deploy(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_deploy_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
