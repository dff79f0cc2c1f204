"""Framing of the messages in protocol.py: one JSON object, and descriptors, per packet.

Works on blocking and non-blocking SOCK_SEQPACKET sockets alike.
"""

from __future__ import annotations

import array
import json
import os
import socket
from collections.abc import Mapping, Sequence

from orchestra.engine.shim.protocol import MESSAGE_BYTES_MAX

_Packet = tuple[bytes, list[tuple[int, int, bytes]], int, object]
_FDS_MAX = 253
"""SCM_MAX_FD of unix(7)."""
_SO_SNDBUFFORCE = 32


class WireError(OSError):
    """The other side sent something that is no message."""


def enlarge(sock: socket.socket) -> None:
    """Let a packet be as large as MESSAGE_BYTES_MAX, or as this process is allowed to ask for."""
    size = MESSAGE_BYTES_MAX + 4096
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, size)
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)


def send(sock: socket.socket, message: Mapping[str, object], fds: Sequence[int] = ()) -> None:
    """Send one message, and duplicates of ``fds``.

    :raises OSError: EAGAIN, EPIPE, EMSGSIZE ... as sendmsg(2).
    """
    data = json.dumps(message, separators=(",", ":")).encode()
    ancillary = (
        [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds).tobytes())] if fds else []
    )
    sock.sendmsg([data], ancillary, socket.MSG_NOSIGNAL)


def receive(sock: socket.socket) -> tuple[dict[str, object], list[int]] | None:
    """Receive one message and its descriptors, which are close-on-exec; None at the end.

    :raises BlockingIOError: when nothing is there on a non-blocking socket.
    :raises WireError: when it is no JSON object, or was cut off.
    """
    try:
        data, ancillary, flags, _ = _receive_packet(sock)
    except ConnectionResetError:  # told first, and once, when a peer left something unread
        data, ancillary, flags, _ = _receive_packet(sock)
    fds = _descriptors(ancillary)
    if not data and not fds:
        return None
    cut = flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC)
    message = None if cut else _decode(data)
    if message is None:
        close_all(fds)
        raise WireError("cannot read a message: it is cut off, or no JSON object")
    return message, fds


def _receive_packet(sock: socket.socket) -> _Packet:
    return sock.recvmsg(MESSAGE_BYTES_MAX, socket.CMSG_SPACE(4 * _FDS_MAX), socket.MSG_CMSG_CLOEXEC)


def _decode(data: bytes) -> dict[str, object] | None:
    try:
        message = json.loads(data)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors."""
    for fd in fds:
        os.close(fd)


def _descriptors(ancillary: Sequence[tuple[int, int, bytes]]) -> list[int]:
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    return list(fds)
