"""Moments and counts as people write them on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from orchestra.errors import UsageError

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|h|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def parse_moment(text: str | None) -> datetime | None:
    """Parse an RFC 3339 time, a Unix time, or a Go duration before now.

    :raises UsageError: when it is none of these.
    """
    if text is None:
        return None
    try:
        if re.fullmatch(r"\d+(\.\d+)?", text):
            return datetime.fromtimestamp(float(text), UTC)
        if text and not _PART.sub("", text):
            seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
            return datetime.now(UTC) - timedelta(seconds=seconds)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as err:
        raise UsageError(
            f'"{text}" is no time', hint="write 2026-01-02T13:23:37Z, or 42m for 42 minutes ago"
        ) from err
    return moment if moment.tzinfo else moment.astimezone()


def parse_tail(text: str) -> int | None:
    """Parse ``--tail``: a number of lines, None for all.

    :raises UsageError: when it is no number.
    """
    if text == "all":
        return None
    if not re.fullmatch(r"-?\d+", text):
        raise UsageError(f'"{text}" is no number of lines', hint='use a number, or "all"')
    return int(text) if int(text) >= 0 else None
