"""Units in text: durations, sizes, numbers, and how Go prints them."""

from __future__ import annotations

import re
from datetime import timedelta
from math import isfinite

_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:w|d|h|ms|us|µs|ns|m|s))+\Z")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(w|d|h|ms|us|µs|ns|m|s)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?\Z", re.IGNORECASE)
_NANOSECONDS = {
    "w": 604_800_000_000_000,
    "d": 86_400_000_000_000,
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "µs": 1_000,
    "ns": 1,
}
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_LONGEST = 64


def parse_duration(text: str) -> timedelta:
    """Return the length of "1m30s", "1.5s", "2d", "100ms"; below a microsecond is lost.

    :raises ValueError: when the text is no duration.
    """
    if text == "0":
        return timedelta()
    if len(text) > _LONGEST or not _DURATION.match(text):
        raise ValueError(text)
    total = sum(float(number) * _NANOSECONDS[unit] for number, unit in _DURATION_PART.findall(text))
    try:
        return timedelta(microseconds=round(total / 1000))
    except OverflowError as err:
        raise ValueError(text) from err


def format_duration(span: timedelta) -> str:
    """Render as Go does: ``1h0m0.5s``, ``1m30s``, ``1.5ms``, ``0s``."""
    total = span // timedelta(microseconds=1)
    if total == 0:
        return "0s"
    sign, total = ("-", -total) if total < 0 else ("", total)
    if total < 1_000:
        return f"{sign}{total}µs"
    if total < 1_000_000:
        return f"{sign}{_decimal(total, 1_000)}ms"
    minutes, rest = divmod(total, 60_000_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, 1_000_000)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else f"{sign}{text}"


def _decimal(amount: int, unit: int) -> str:
    whole, part = divmod(amount, unit)
    if not part:
        return str(whole)
    digits = str(part).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{whole}.{digits}"


def parse_size(text: str) -> int:
    """Return the bytes of "50m", "1gb", "1.5 GiB", "1024"; -1 where that means no limit.

    :raises ValueError: when the text is no size.
    """
    if re.fullmatch(r"-?\d{1,19}", text):
        return int(text)
    match = _SIZE.match(text)
    if match is None or len(text) > _LONGEST:
        raise ValueError(text)
    number, unit = match.groups()
    scale: int = 1024 ** _POWERS[unit.lower()]
    return int(float(number) * scale)


def parse_flag(text: str) -> bool:
    """Return the truth of true, yes, on, y and their opposites, in any case.

    :raises ValueError: for any other text.
    """
    lowered = text.lower()
    if lowered in {"true", "yes", "on", "y"}:
        return True
    if lowered in {"false", "no", "off", "n"}:
        return False
    raise ValueError(text)


def format_float(number: float) -> str:
    """Render a float as Go prints it: ``1.5``, ``2``, ``1e+21``."""
    if not isfinite(number):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(number)]
    if number == int(number) and abs(number) < 1e21:
        return str(int(number))
    return repr(number)
