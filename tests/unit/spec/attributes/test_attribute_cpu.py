"""services.*.cpu_shares (compose-spec 05-services.md, cpu_*)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.cpu_shares"
COVERS = (
    "services.*.cpu_count",
    "services.*.cpu_percent",
    "services.*.cpu_quota",
    "services.*.cpu_period",
    "services.*.cpu_rt_period",
    "services.*.cpu_rt_runtime",
)

COUNT = "services.*.cpu_count"
PERCENT = "services.*.cpu_percent"
QUOTA = "services.*.cpu_quota"
PERIOD = "services.*.cpu_period"
RT_PERIOD = "services.*.cpu_rt_period"
RT_RUNTIME = "services.*.cpu_rt_runtime"

CASES = (
    Case("shares", "cpu_shares: 73", 73),
    Case("shares-text", "cpu_shares: '73'", 73),
    Case("shares-whole-float", "cpu_shares: 73.0", 73),
    Case("shares-variable", "cpu_shares: ${N}", 512, env={"N": "512"}),
    Case("shares-zero", "cpu_shares: 0", ABSENT),
    Case("shares-merged", "cpu_shares: 1", 2, over="cpu_shares: 2"),
    Case("shares-reset", "cpu_shares: 1", ABSENT, over="cpu_shares: !reset null"),
    Case("shares-octal", "cpu_shares: 0o10", 8),
    Case("count", "cpu_count: 2", 2, key=COUNT),
    Case("count-text", "cpu_count: '2'", 2, key=COUNT),
    Case("count-merged", "cpu_count: 2", 4, key=COUNT, over="cpu_count: 4"),
    Case("percent", "cpu_percent: 50", 50, key=PERCENT),
    Case("percent-text", "cpu_percent: '12'", 12, key=PERCENT),
    Case("percent-all", "cpu_percent: 100", 100, key=PERCENT),
    Case("percent-variable", "cpu_percent: ${N:-33}", 33, key=PERCENT),
    Case("quota", "cpu_quota: 50000", 50000, key=QUOTA),
    Case("quota-unlimited", "cpu_quota: -1", -1, key=QUOTA),
    Case("quota-text", "cpu_quota: '50000'", 50000, key=QUOTA),
    Case("period", "cpu_period: 20000", 20000, key=PERIOD),
    Case("period-variable", "cpu_period: ${N}", 20000, key=PERIOD, env={"N": "20000"}),
    Case("rt-period", "cpu_rt_period: 11000", 11000, key=RT_PERIOD),
    Case("rt-period-text", "cpu_rt_period: '11000'", 11000, key=RT_PERIOD),
    Case("rt-runtime", "cpu_rt_runtime: 95000", 95000, key=RT_RUNTIME),
    Case("rt-runtime-merged", "cpu_rt_runtime: 1", 2, key=RT_RUNTIME, over="cpu_rt_runtime: 2"),
)

WRONG = (
    Wrong(
        "shares-word",
        "cpu_shares: many",
        "expected a whole number, not text",
        place="4:5",
        hint="write it in digits, without a unit",
    ),
    Wrong("shares-flag", "cpu_shares: true", "expected a whole number, not true or false"),
    Wrong("shares-list", "cpu_shares: [1]", "expected a whole number, not a list"),
    Wrong("shares-unit", "cpu_shares: 5k", "expected a whole number, not text"),
    Wrong(
        "shares-fraction",
        "cpu_shares: 1.5",
        "expected a whole number, not a fraction",
        ours="it cuts off the fraction",
    ),
    Wrong("shares-empty", "cpu_shares: ''", "expected a whole number, not empty text"),
    Wrong(
        "count-negative",
        "cpu_count: -1",
        "expected at least 0",
        place="4:5",
        hint="choose a greater number",
    ),
    Wrong("count-negative-text", "cpu_count: '-1'", "expected at least 0"),
    Wrong("count-fraction", "cpu_count: 1.5", "expected a whole number, not a fraction"),
    Wrong(
        "percent-above",
        "cpu_percent: 101",
        "expected at most 100",
        place="4:5",
        hint="choose a smaller number",
    ),
    Wrong("percent-below", "cpu_percent: -1", "expected at least 0"),
    Wrong("percent-above-text", "cpu_percent: '101'", "expected at most 100"),
    Wrong("percent-fraction", "cpu_percent: 12.5", "expected a whole number, not a fraction"),
    Wrong(
        "percent-sign",
        "cpu_percent: 50%",
        "expected a whole number, not text",
        hint="write it in digits, without a unit",
    ),
    Wrong("quota-mapping", "cpu_quota: {a: 1}", "expected a whole number, not a mapping"),
    Wrong("quota-fraction-text", "cpu_quota: '1.5'", "expected a whole number, not text"),
    Wrong(
        "period-duration",
        "cpu_period: 20ms",
        "expected a whole number, not text",
        place="4:5",
        hint="write it in digits, without a unit",
    ),
    Wrong("rt-period-duration", "cpu_rt_period: 1400us", "expected a whole number, not text"),
    Wrong("rt-runtime-duration", "cpu_rt_runtime: 400ms", "expected a whole number, not text"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_cpu(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_cpu_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
