"""services.*.stop_grace_period (compose-spec 05-services.md and its durations)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.stop_grace_period"

CASES = (
    Case("seconds", "stop_grace_period: 10s", "10s"),
    Case("compound", "stop_grace_period: 1m30s", "1m30s"),
    Case("carried", "stop_grace_period: 90s", "1m30s"),
    Case("fraction", "stop_grace_period: 1.5s", "1.5s"),
    Case("bare-point", "stop_grace_period: .5s", "500ms"),
    Case("last-point", "stop_grace_period: 5.s", "5s"),
    Case("plus", "stop_grace_period: +1s", "1s"),
    Case("hours", "stop_grace_period: 2h", "2h0m0s"),
    Case("repeated", "stop_grace_period: 1h1h", "2h0m0s"),
    Case("days", "stop_grace_period: 1d", "24h0m0s"),
    Case("weeks", "stop_grace_period: 1w2d", "216h0m0s"),
    Case("milliseconds", "stop_grace_period: 500ms", "500ms"),
    Case("microseconds", "stop_grace_period: 20us", "20\u00b5s"),
    Case("greek", "stop_grace_period: 20\u00b5s", "20\u00b5s"),
    Case("nanosecond", "stop_grace_period: 1ns", "0s", ours="time is kept in microseconds here"),
    Case("zero", "stop_grace_period: 0s", "0s"),
    Case("zero-text", "stop_grace_period: '0'", "0s"),
    Case("variable", "stop_grace_period: '${GRACE}'", "3m0s", env={"GRACE": "3m"}),
    Case("null", "stop_grace_period:", ABSENT, ours=NULL),
    Case("over", "stop_grace_period: 1s", "2s", over="stop_grace_period: 2s"),
    Case("reset", "stop_grace_period: 1s", ABSENT, over="stop_grace_period: !reset null"),
)

WRONG = (
    Wrong(
        "number",
        "stop_grace_period: 10",
        "expected a duration, not a number",
        place="4:5",
        hint='give it a unit: "10s"',
    ),
    Wrong("zero", "stop_grace_period: 0", "expected a duration, not a number"),
    Wrong("number-text", "stop_grace_period: '10'", "expected a duration", hint='as in "1m30s"'),
    Wrong("fraction", "stop_grace_period: 1.5", "expected a duration, not a fraction"),
    Wrong("word", "stop_grace_period: soon", "expected a duration"),
    Wrong("empty", "stop_grace_period: ''", "expected a duration"),
    Wrong("unit", "stop_grace_period: 1M", "expected a duration"),
    Wrong("spaces", "stop_grace_period: 1s 2m", "expected a duration"),
    Wrong(
        "negative",
        "stop_grace_period: -1s",
        "expected a duration",
        ours="it waits less than no time",
    ),
    Wrong("too-long", "stop_grace_period: 3000000h", "expected a duration"),
    Wrong("bool", "stop_grace_period: true", "expected a duration, not true or false"),
    Wrong("list", "stop_grace_period: [1s]", "expected a duration, not a list"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_stop_grace_period(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_stop_grace_period_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
