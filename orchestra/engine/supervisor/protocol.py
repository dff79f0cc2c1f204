"""Messages of the supervisor's socket: one JSON object a line. Pure.

A client sends one request. To ``subscribe`` the supervisor answers with events without end; to
``release`` with one reply, and ends when it has nothing left to watch; ``run`` is told in runs.py.
"""

from __future__ import annotations

import json
from enum import StrEnum

from orchestra.engine.events import ContainerExited, ContainerStarted, Event, HealthChanged
from orchestra.engine.state.codec import DecodeError, decode, encode

SOCKET_NAME = "supervisor.sock"
PID_NAME = "supervisor.pid"
LINE_BYTES_MAX = 64 * 1024

_Told = ContainerStarted | ContainerExited | HealthChanged
_KINDS: dict[str, type[_Told]] = {
    kind.__name__: kind for kind in (ContainerStarted, ContainerExited, HealthChanged)
}


class Request(StrEnum):
    """What a client may ask."""

    SUBSCRIBE = "subscribe"
    RELEASE = "release"
    RUN = "run"


def encode_event(event: Event) -> bytes | None:
    """Return an event's line, None for the kinds that are no business of other processes."""
    kind = type(event).__name__
    if kind not in _KINDS:
        return None
    return json.dumps({"kind": kind, "event": encode(event)}).encode() + b"\n"


def decode_event(line: bytes) -> Event | None:
    """Read an event's line; None when it is no event that this version knows."""
    try:
        message = json.loads(line)
        kind = _KINDS[message["kind"]]
        return decode(kind, message["event"])
    except (ValueError, KeyError, TypeError, DecodeError):
        return None
