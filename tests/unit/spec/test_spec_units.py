"""Durations, sizes and numbers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.spec.units import format_duration, format_float, parse_duration, parse_size

DURATIONS = {
    "10s": 10.0, "1m30s": 90.0, "1.5s": 1.5, "100ms": 0.1, "1h2m3s": 3723.0, "2d": 172800.0, "1w": 604800.0,
    "5us": 5e-6, "1h0m0.001s": 3600.001, "0": 0.0, "0s": 0.0,
}  # fmt: skip
SIZES = {
    "5": 5, "1k": 1024, "1kb": 1024, "1KiB": 1024, "50m": 52428800, "1.5g": 1610612736, "2 GB": 2147483648,
    "1t": 1024**4, "-1": -1, "7b": 7,
}  # fmt: skip
GO = {
    0.0: "0s",
    0.000005: "5µs",
    0.0015: "1.5ms",
    1.0: "1s",
    90.0: "1m30s",
    3600.0: "1h0m0s",
    3600.5: "1h0m0.5s",
}


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items(), ids=DURATIONS)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text", ["", "10", "s", "1x", "1 s", "-1s", "1m30", "9" * 200 + "s", "999999999999w"]
)
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError):
        parse_duration(text)


@pytest.mark.parametrize(("seconds", "text"), GO.items(), ids=GO.values())
def test_durations_are_printed_as_go_does(seconds: float, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3000)))
def test_a_printed_duration_is_read_again(span: timedelta) -> None:
    assert parse_duration(format_duration(span)) == span


@pytest.mark.parametrize(("text", "size"), SIZES.items(), ids=SIZES)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "k", "1x", "1 2", "--1", "1gg", "9" * 100, "1.2.3k"])
def test_no_sizes(text: str) -> None:
    with pytest.raises(ValueError):
        parse_size(text)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"), (-0.0, "-0"), (1.5, "1.5"), (2.0, "2"), (100000.0, "100000"),
        (1e6, "1e+06"), (1234567.5, "1.2345675e+06"), (123456789.0, "1.23456789e+08"),
        (1e21, "1e+21"), (0.0001, "0.0001"), (0.00001, "1e-05"), (float("inf"), "+Inf"),
        (float("nan"), "NaN"),
    ],
)  # fmt: skip
def test_floats_are_printed_as_go_does(number: float, text: str) -> None:
    assert format_float(number) == text
