"""Ports of this host for programs that are to listen on them a little later."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress

_CHANCE = secrets.SystemRandom()


def free_port() -> int:
    """Return a TCP port that is free on every address of this host.

    Below those that the kernel gives away itself (ip_local_port_range): until it is used, some
    connection or server of the tests beside us would be given one of those.
    """
    while True:
        port = _CHANCE.randrange(10_000, 30_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("0.0.0.0", port))
            return port
