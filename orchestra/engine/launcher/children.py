"""Who is who to the launcher: processes that it has forked, and those that may call."""

from __future__ import annotations

import os
import socket
import struct

from orchestra.values import dataclass


@dataclass(slots=True)
class Child:
    """A process we forked; ``shim`` ones stand for a container, ``plain`` ones for a plain one.

    ``id``: of the container, "" where it stands for none.
    """

    id: str
    shim: bool = False
    plain: bool = False
    request_path: str = ""
    channel: socket.socket | None = None


def is_ours(connection: socket.socket) -> bool:
    """Tell whether root or this very user is at the other end."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return struct.unpack("3i", data)[1] in {0, os.geteuid()}
