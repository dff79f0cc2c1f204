"""Lines of history as BuildKit tells them, in the forms that Go prints values in.

Pure.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from orchestra.oci.image import ImageHealthcheck

_UNITS = (("h", 3600 * 10**9), ("m", 60 * 10**9))


def quoted(words: Sequence[str]) -> str:
    """Return words as ``%q`` prints them."""
    return f"[{' '.join(json.dumps(word, ensure_ascii=False) for word in words)}]"


def told_check(check: ImageHealthcheck) -> str:
    """Return a healthcheck as ``%+v`` prints it."""
    spans = (
        ("Interval", check.interval_ns),
        ("Timeout", check.timeout_ns),
        ("StartPeriod", check.start_period_ns),
        ("StartInterval", check.start_interval_ns),
    )
    fields = [f"Test:[{' '.join(check.test)}]", *(f"{key}:{span(ns)}" for key, ns in spans)]
    return f"{{{' '.join([*fields, f'Retries:{check.retries}'])}}}"


def span(nanoseconds: int) -> str:
    """Return a time as time.Duration prints it: 1h0m0s, 1m30s, 500ms, 0s."""
    if 0 < nanoseconds < 10**3:
        return f"{nanoseconds}ns"
    if 0 < nanoseconds < 10**6:
        return f"{_decimal(nanoseconds, 10**3)}µs"
    if 0 < nanoseconds < 10**9:
        return f"{_decimal(nanoseconds, 10**6)}ms"
    text = ""
    for name, whole in _UNITS:
        amount, nanoseconds = divmod(nanoseconds, whole)
        text += f"{amount}{name}" if amount or text else ""
    return f"{text}{_decimal(nanoseconds, 10**9)}s"


def _decimal(amount: int, size: int) -> str:
    whole, rest = divmod(amount, size)
    digits = f"{rest:0{len(str(size)) - 1}}".rstrip("0")
    return f"{whole}.{digits}" if digits else str(whole)
