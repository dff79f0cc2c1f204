"""services.*.deploy.restart_policy (compose-spec deploy.md, restart_policy)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.deploy.restart_policy"

CASES = (
    Case(
        "everything",
        "deploy: {restart_policy: {condition: on-failure, delay: 5s, max_attempts: 3, window: 120s}}",
        {"condition": "on-failure", "delay": "5s", "max_attempts": 3, "window": "2m0s"},
    ),
    Case("none", "deploy: {restart_policy: {condition: none}}", {"condition": "none"}),
    Case("any", "deploy: {restart_policy: {condition: any}}", {"condition": "any"}),
    Case("empty", "deploy: {restart_policy: {}}", {}),
    Case(
        "zeros",
        "deploy: {restart_policy: {delay: 0s, max_attempts: 0, window: 0s}}",
        {"delay": "0s", "max_attempts": 0, "window": "0s"},
    ),
    Case(
        "texts",
        "deploy: {restart_policy: {max_attempts: '3', delay: 1h2m3s}}",
        {"delay": "1h2m3s", "max_attempts": 3},
    ),
    Case(
        "variable",
        "deploy: {restart_policy: {condition: '${C:-any}', window: '${W}'}}",
        {"condition": "any", "window": "10ms"},
        env={"W": "10ms"},
    ),
    Case("extension", "deploy: {restart_policy: {x-a: b, condition: any}}", {"condition": "any"}),
    Case(
        "merged",
        "deploy: {restart_policy: {condition: any, delay: 1s}}",
        {"condition": "none", "delay": "1s"},
        over="deploy: {restart_policy: {condition: none}}",
    ),
    Case(
        "reset",
        "deploy: {restart_policy: {condition: any}}",
        ABSENT,
        over="deploy: {restart_policy: !reset null}",
    ),
)

WRONG = (
    Wrong(
        "text",
        "deploy: {restart_policy: always}",
        "expected a mapping, not text",
        place="4:14",
        hint="write KEY: VALUE below it",
    ),
    Wrong(
        "unknown",
        "deploy:\n  restart_policy:\n    max_attemps: 1",
        'unknown key "max_attemps"',
        place="6:9",
        hint='did you mean "max_attempts"?',
    ),
    Wrong(
        "attempts-negative",
        "deploy: {restart_policy: {max_attempts: -1}}",
        "expected at least 0",
        place="4:31",
        hint="choose a greater number",
    ),
    Wrong(
        "attempts-word",
        "deploy: {restart_policy: {max_attempts: some}}",
        "expected a whole number, not text",
    ),
    Wrong(
        "delay-number",
        "deploy: {restart_policy: {delay: 5}}",
        "expected a duration, not a number",
        place="4:31",
        hint='give it a unit: "5s"',
    ),
    Wrong(
        "window-word",
        "deploy: {restart_policy: {window: soon}}",
        "expected a duration, not text",
        hint='write it with a unit, as in "1m30s"',
    ),
    Wrong(
        "condition-list",
        "deploy: {restart_policy: {condition: [any]}}",
        "expected text, not a list",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_deploy_restart_policy(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_deploy_restart_policy_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
