"""services.*.deploy.update_config (compose-spec deploy.md, update_config and rollback_config)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.deploy.update_config"
COVERS = ("services.*.deploy.rollback_config",)

ROLLBACK = "services.*.deploy.rollback_config"

CASES = (
    Case(
        "everything",
        """
        deploy:
          update_config:
            parallelism: 2
            delay: 10s
            failure_action: rollback
            monitor: 1m
            max_failure_ratio: 0.3
            order: start-first
        """,
        {
            "parallelism": 2,
            "delay": "10s",
            "failure_action": "rollback",
            "monitor": "1m0s",
            "max_failure_ratio": 0.3,
            "order": "start-first",
        },
    ),
    Case(
        "everything-back",
        """
        deploy:
          rollback_config:
            parallelism: 0
            delay: 1h30m
            failure_action: pause
            monitor: 100ms
            max_failure_ratio: 1
            order: stop-first
        """,
        {
            "parallelism": 0,
            "delay": "1h30m0s",
            "failure_action": "pause",
            "monitor": "100ms",
            "max_failure_ratio": 1,
            "order": "stop-first",
        },
        key=ROLLBACK,
    ),
    Case("empty", "deploy: {update_config: {}}", {}),
    Case(
        "texts",
        "deploy: {update_config: {parallelism: '2', max_failure_ratio: '0.5'}}",
        {"parallelism": 2, "max_failure_ratio": 0.5},
    ),
    Case(
        "variables",
        "deploy: {update_config: {parallelism: '${P}', delay: '${D}'}}",
        {"parallelism": 3, "delay": "5s"},
        env={"P": "3", "D": "5s"},
    ),
    Case("zero-delay", "deploy: {update_config: {delay: 0s, monitor: '0'}}", {}),
    Case(
        "days",
        "deploy: {update_config: {delay: 1d, monitor: 1w}}",
        {"delay": "24h0m0s", "monitor": "168h0m0s"},
    ),
    Case(
        "any-action",
        "deploy: {update_config: {failure_action: explode}}",
        {"failure_action": "explode"},
    ),
    Case("extension", "deploy: {update_config: {x-a: b, delay: 1s}}", {"delay": "1s"}),
    Case(
        "merged",
        "deploy: {update_config: {delay: 1s, order: start-first}}",
        {"delay": "2s", "order": "start-first"},
        over="deploy: {update_config: {delay: 2s}}",
    ),
    Case(
        "merged-back",
        "deploy: {rollback_config: {delay: 1s}}",
        {"parallelism": 1, "delay": "1s"},
        key=ROLLBACK,
        over="deploy: {rollback_config: {parallelism: 1}}",
    ),
    Case(
        "reset",
        "deploy: {update_config: {delay: 1s}}",
        ABSENT,
        over="deploy: {update_config: !reset null}",
    ),
)

WRONG = (
    Wrong(
        "list",
        "deploy: {update_config: [1s]}",
        "expected a mapping, not a list",
        place="4:14",
        hint="write KEY: VALUE below it",
    ),
    Wrong(
        "delay-number",
        "deploy: {update_config: {delay: 10}}",
        "expected a duration, not a number",
        place="4:30",
        hint='give it a unit: "10s"',
    ),
    Wrong(
        "delay-unit",
        "deploy: {update_config: {delay: 10 seconds}}",
        "expected a duration, not text",
        place="4:30",
        hint='write it with a unit, as in "1m30s"',
    ),
    Wrong(
        "delay-without-unit",
        "deploy: {update_config: {delay: '10'}}",
        "expected a duration, not text",
        hint='write it with a unit, as in "1m30s"',
    ),
    Wrong(
        "monitor-flag",
        "deploy: {rollback_config: {monitor: true}}",
        "expected a duration, not true or false",
    ),
    Wrong(
        "parallelism-negative",
        "deploy: {update_config: {parallelism: -1}}",
        "expected at least 0",
        hint="choose a greater number",
    ),
    Wrong(
        "parallelism-word",
        "deploy: {update_config: {parallelism: all}}",
        "expected a whole number, not text",
    ),
    Wrong(
        "ratio-word",
        "deploy: {rollback_config: {max_failure_ratio: half}}",
        "expected a number, not text",
        place="4:32",
    ),
    Wrong(
        "order-near",
        "deploy: {update_config: {order: start-frist}}",
        'expected "start-first" or "stop-first"',
        place="4:30",
        hint='did you mean "start-first"?',
    ),
    Wrong(
        "unknown",
        "deploy:\n  rollback_config:\n    paralellism: 1",
        'unknown key "paralellism"',
        place="6:9",
        hint='did you mean "parallelism"?',
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_deploy_update_config(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_deploy_update_config_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
