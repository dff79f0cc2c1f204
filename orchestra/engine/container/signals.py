"""Signal names and numbers as people write them. Pure."""

from __future__ import annotations

import re
import signal

from orchestra.errors import ContainerError

_REALTIME = re.compile(r"RT(MIN\+|MAX-)(\d{1,2})")


def signal_number(text: str) -> int:
    """Return the number of "SIGTERM", "term", "15", "SIGRTMIN+3".

    :raises ContainerError: when there is no such signal.
    """
    name = text.strip().upper().removeprefix("SIG")
    if name.isascii() and name.isdigit() and 0 < int(name) <= signal.SIGRTMAX:
        return int(name)
    if match := _REALTIME.fullmatch(name):
        base = signal.SIGRTMIN if match[1] == "MIN+" else signal.SIGRTMAX
        number = base + int(match[2]) if match[1] == "MIN+" else base - int(match[2])
        if signal.SIGRTMIN <= number <= signal.SIGRTMAX:
            return number
    try:
        return int(signal.Signals[f"SIG{name}"])
    except KeyError:
        raise ContainerError(
            f'there is no signal "{text}"', hint="write it as SIGTERM or 15"
        ) from None
