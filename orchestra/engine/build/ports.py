"""Ports as EXPOSE writes them: "80", "53/udp", "8000-8010/tcp".

Pure.
"""

from __future__ import annotations

import re

from orchestra.errors import BuildError

_PORT = re.compile(r"(?:.*:)?(\d{1,5})(?:-(\d{1,5}))?(?:/([A-Za-z]+))?")
_PROTOCOLS = ("tcp", "udp", "sctp")


def read_ports(text: str) -> tuple[str, ...]:
    """Return "port/protocol" for each port; an address or host port before it is ignored.

    :raises BuildError: when it is not a port or a range of ports.
    """
    match = _PORT.fullmatch(text)
    if match is not None:
        first, last = int(match[1]), int(match[2] or match[1])
        protocol = (match[3] or "tcp").lower()
        if 0 <= first <= last <= 65535 and protocol in _PROTOCOLS:
            return tuple(f"{port}/{protocol}" for port in range(first, last + 1))
    raise BuildError(f'"{text[:100]}" is not a port', hint="write it as 80, 53/udp or 8000-8010")
