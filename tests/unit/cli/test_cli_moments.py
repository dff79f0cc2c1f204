"""Moments, counts and pairs as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from orchestra.cli.build_options import parse_build_args
from orchestra.cli.moments import parse_moment, parse_tail
from orchestra.cli.plain import variables
from orchestra.cli.transact import parse_scale
from orchestra.errors import UsageError


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1700000000", datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        ("1700000000.5", datetime(2023, 11, 14, 22, 13, 20, 500000, tzinfo=UTC)),
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05+02:00", datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)),
    ],
)
def test_fixed_moments(text: str, moment: datetime) -> None:
    assert parse_moment(text) == moment


@pytest.mark.parametrize(
    ("text", "span"),
    [("42m", 2520.0), ("1h30m", 5400.0), ("1.5s", 1.5), ("10ms", 0.01)],
)
def test_durations_count_back_from_now(text: str, span: float) -> None:
    before = datetime.now(UTC)
    found = parse_moment(text)
    after = datetime.now(UTC)
    assert found is not None
    assert before <= found + timedelta(seconds=span) <= after


def test_a_moment_without_zone_is_local() -> None:
    found = parse_moment("2026-01-02T03:04:05")
    assert found is not None
    assert found.utcoffset() == datetime(2026, 1, 2, 3, 4, 5).astimezone().utcoffset()


def test_no_moment_is_none() -> None:
    assert parse_moment(None) is None


@pytest.mark.parametrize(
    "text", ["", "yesterday", "5 minutes", "-3m", "42x", "9" * 30, "9" * 300 + "h"]
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no time"):
        parse_moment(text)


@pytest.mark.parametrize(("text", "count"), [("all", None), ("-1", None), ("0", 0), ("10", 10)])
def test_tail(text: str, count: int | None) -> None:
    assert parse_tail(text) == count


def test_scale_is_a_number_a_service() -> None:
    assert parse_scale(["web=3", "db=0"]) == {"web": 3, "db": 0}


@pytest.mark.parametrize("text", ["web", "web=", "=3", "web=-1", "web=many"])
def test_what_is_no_scale_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="cannot scale"):
        parse_scale([text])


def test_variables_without_value_come_from_the_environment() -> None:
    outside = {"SHELL": "/bin/sh"}
    assert variables(["A=1=2", "SHELL", "NONE", "E="], outside) == {
        "A": "1=2",
        "SHELL": "/bin/sh",
        "E": "",
    }
    assert parse_build_args(["A=1", "NONE"], outside) == {"A": "1", "NONE": None}
