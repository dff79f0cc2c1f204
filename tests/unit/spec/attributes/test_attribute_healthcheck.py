"""services.*.healthcheck (compose-spec 05-services.md, healthcheck)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.healthcheck"

CASES = (
    Case(
        "everything",
        """
        healthcheck:
          test: [CMD, curl, -f, http://localhost]
          interval: 1m30s
          timeout: 10s
          retries: 3
          start_period: 40s
          start_interval: 5s
        """,
        {
            "test": ["CMD", "curl", "-f", "http://localhost"],
            "timeout": "10s",
            "interval": "1m30s",
            "retries": 3,
            "start_period": "40s",
            "start_interval": "5s",
        },
    ),
    Case(
        "text",
        "healthcheck: {test: curl -f https://localhost || exit 1}",
        {"test": ["CMD-SHELL", "curl -f https://localhost || exit 1"]},
    ),
    Case(
        "shell",
        "healthcheck: {test: [CMD-SHELL, 'curl -f http://localhost || exit 1']}",
        {"test": ["CMD-SHELL", "curl -f http://localhost || exit 1"]},
    ),
    Case("none", "healthcheck: {test: [NONE]}", {"test": ["NONE"]}),
    Case("disable", "healthcheck: {disable: true}", {"disable": True}),
    Case("disable-text", "healthcheck: {disable: 'true'}", {"disable": True}),
    Case("disable-false", "healthcheck: {disable: false, test: a}", {"test": ["CMD-SHELL", "a"]}),
    Case("empty", "healthcheck: {}", {}),
    Case("empty-test", "healthcheck: {test: []}", {}),
    Case("empty-test-text", "healthcheck: {test: ''}", {"test": ["CMD-SHELL", ""]}),
    Case("retries-text", "healthcheck: {retries: '5'}", {"retries": 5}),
    Case("retries-zero", "healthcheck: {retries: 0}", {"retries": 0}),
    Case(
        "fractions",
        "healthcheck: {interval: 1.5s, timeout: 0.5m}",
        {"timeout": "30s", "interval": "1.5s"},
    ),
    Case(
        "small",
        "healthcheck: {interval: 100ms, timeout: 10us}",
        {"timeout": "10µs", "interval": "100ms"},
    ),
    Case(
        "long",
        "healthcheck: {interval: 1d, timeout: 1w2d3h}",
        {"timeout": "219h0m0s", "interval": "24h0m0s"},
    ),
    Case(
        "zero",
        "healthcheck: {interval: 0s, start_period: '0'}",
        {"interval": "0s", "start_period": "0s"},
    ),
    Case(
        "variables",
        "healthcheck: {test: 'test $$A = ${A}', interval: '${I:-5s}', retries: '${R}'}",
        {"test": ["CMD-SHELL", "test $$A = 1"], "interval": "5s", "retries": 2},
        env={"A": "1", "R": "2"},
    ),
    Case("extension", "healthcheck: {test: a, x-b: c}", {"test": ["CMD-SHELL", "a"]}),
    Case(
        "merged",
        "healthcheck: {test: a, interval: 1s}",
        {"test": ["CMD-SHELL", "a"], "interval": "2s", "retries": 1},
        over="healthcheck: {interval: 2s, retries: 1}",
    ),
    Case(
        "test-replaced",
        "healthcheck: {test: [CMD, a]}",
        {"test": ["CMD-SHELL", "b"]},
        over="healthcheck: {test: b}",
    ),
    Case(
        "disabled-by-second",
        "healthcheck: {test: a}",
        {"test": ["CMD-SHELL", "a"], "disable": True},
        over="healthcheck: {disable: true}",
    ),
    Case(
        "overridden",
        "healthcheck: {test: a, interval: 1s}",
        {"test": ["CMD-SHELL", "b"]},
        over="healthcheck: !override {test: b}",
    ),
    Case("reset", "healthcheck: {test: a}", ABSENT, over="healthcheck: !reset null"),
    Case(
        "reset-one",
        "healthcheck: {test: a, interval: 1s}",
        {"test": ["CMD-SHELL", "a"]},
        over="healthcheck: {interval: !reset null}",
    ),
)

WRONG = (
    Wrong(
        "text-only",
        "healthcheck: curl localhost",
        "expected a mapping, not text",
        place="4:5",
        hint="write KEY: VALUE below it",
    ),
    Wrong(
        "test-without-form",
        "healthcheck: {test: [curl, localhost]}",
        'expected "CMD", "CMD-SHELL" or "NONE" first',
        place="4:19",
        hint="a test written as a list begins so; or write one text",
    ),
    Wrong(
        "test-number",
        "healthcheck: {test: 3}",
        "expected text or a list, not a number",
        place="4:19",
        hint="write one text, or a list with each item in quotes",
    ),
    Wrong(
        "test-mapping", "healthcheck: {test: {cmd: a}}", "expected text or a list, not a mapping"
    ),
    Wrong(
        "test-number-inside",
        "healthcheck: {test: [CMD, sleep, 3]}",
        "expected text, not a number",
        place="4:38",
        hint="put it in quotes",
    ),
    Wrong(
        "interval-number",
        "healthcheck: {interval: 30}",
        "expected a duration, not a number",
        place="4:19",
        hint='give it a unit: "30s"',
    ),
    Wrong(
        "interval-without-unit",
        "healthcheck: {interval: '30'}",
        "expected a duration, not text",
        place="4:19",
        hint='write it with a unit, as in "1m30s"',
    ),
    Wrong("interval-words", "healthcheck: {interval: 30 seconds}", "expected a duration, not text"),
    Wrong("timeout-empty", "healthcheck: {timeout: ''}", "expected a duration, not empty text"),
    Wrong(
        "retries-negative",
        "healthcheck: {retries: -1}",
        "expected at least 0",
        place="4:19",
        hint="choose a greater number",
    ),
    Wrong(
        "retries-word",
        "healthcheck: {retries: thrice}",
        "expected a whole number, not text",
        hint="write it in digits, without a unit",
    ),
    Wrong(
        "disable-word",
        "healthcheck: {disable: maybe}",
        "expected true or false, not text",
        hint="write true or false",
    ),
    Wrong(
        "unknown",
        "healthcheck:\n  retires: 3",
        'unknown key "retires"',
        place="5:7",
        hint='did you mean "retries"?',
    ),
    Wrong(
        "start-period-list", "healthcheck: {start_period: [1s]}", "expected a duration, not a list"
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_healthcheck(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_healthcheck_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
