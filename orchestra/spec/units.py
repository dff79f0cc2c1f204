"""Units in text: durations, sizes, numbers, and how Go prints them."""

from __future__ import annotations

import re
from datetime import timedelta
from math import isfinite

_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)"
_UNIT = r"(w|d|h|ms|us|µs|ns|m|s)"
_DURATION_PART = re.compile(rf"({_NUMBER}){_UNIT}")
_DURATION = re.compile(rf"\+?((?:{_NUMBER}{_UNIT})+)\Z")
_SIZE = re.compile(
    rf"\+?({_NUMBER}(?:e[-+]?\d{{1,3}})?) ?(?:b|([kmgtp])(?:i?b)?)?\Z", re.IGNORECASE
)
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
_LARGEST = 2**63 - 1


def parse_duration(text: str) -> timedelta:
    """Return the length of "1m30s", "1.5s", "2d", "100ms"; below a microsecond is lost.

    :raises ValueError: when the text is no duration.
    """
    if text == "0":
        return timedelta()
    match = _DURATION.match(text) if len(text) <= _LONGEST else None
    if match is None:
        raise ValueError(text)
    parts = _DURATION_PART.findall(match[1])
    total = sum(float(number) * _NANOSECONDS[unit] for number, unit in parts)
    if total > _LARGEST:
        raise ValueError(text)
    return timedelta(microseconds=round(total / 1000))


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
    whole = re.fullmatch(r"[-+]?\d{1,19}", text)
    match = _SIZE.match(text) if len(text) <= _LONGEST else None
    if whole is not None:
        size = int(text)
    elif match is not None:
        size = int(float(match[1]) * 1024 ** _POWERS[(match[2] or "").lower()])
    else:
        raise ValueError(text)
    if size > _LARGEST:
        raise ValueError(text)
    return size


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
    """Render a float as Go's fmt does: ``1.5``, ``2``, ``3e+06``."""
    if not isfinite(number):
        return {"nan": "NaN", "inf": "+Inf", "-inf": "-Inf"}[str(number)]
    from decimal import Decimal  # noqa: PLC0415 - few files have a float

    shortest = Decimal(repr(number)).normalize()
    power = shortest.adjusted() if number else 0
    if -4 <= power < 6:
        return f"{shortest:f}"
    mantissa = shortest.scaleb(-power)
    return f"{mantissa:f}e{power:+03d}"
