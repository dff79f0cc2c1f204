"""Typed messages between create (or start) and the coming container, one per packet.

The child's end is close-on-exec: the peer reads the end of the stream when execve has succeeded.
"""

from __future__ import annotations

import json
import os
import socket
from array import array
from contextlib import suppress
from typing import Literal, NotRequired

from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.values import TypedDict

_PACKET_MAX = 65536
_MESSAGE_BYTES = 131072
_ROOM = socket.CMSG_SPACE(4 * 4)


class Message(TypedDict):
    """One packet. From the child: "map" (map my user namespace), "clocks"
    (set those of my time namespace), "hooks" (run the hooks of the
    runtime's side), "ready" (all but exec is done), "failed". To the child: "go".
    """  # noqa: D205

    kind: Literal["map", "clocks", "hooks", "ready", "failed", "go"]
    message: NotRequired[str]
    errno: NotRequired[int]
    exit_code: NotRequired[int]


class Channel:
    """One end of the conversation; owns its descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def send(self, message: Message) -> None:
        """Send a message; a peer that is gone is not told.

        :raises OSError: for anything but a vanished peer.
        """
        try:
            os.write(self.fd, json.dumps(message).encode())
        except (BrokenPipeError, ConnectionResetError):
            return

    def send_failure(self, failure: RuntimeFailure) -> None:
        """Send a failure."""
        self.send(
            {
                "kind": "failed",
                "message": failure.message[:16384],
                "errno": failure.errno,
                "exit_code": failure.exit_code,
            }
        )

    def receive(self) -> Message | None:
        """Return the next message; None at the end of the stream.

        :raises RuntimeFailure: the one that the peer sent.
        """
        try:
            packet = os.read(self.fd, _PACKET_MAX)
        except ConnectionResetError:  # told first, and once, when a peer left something unread
            packet = os.read(self.fd, _PACKET_MAX)
        if not packet:
            return None
        return decode(packet)

    def close(self) -> None:
        """Close it; a second time does nothing."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def decode(packet: bytes) -> Message:
    """Return the message of a packet.

    :raises RuntimeFailure: the one that the peer sent.
    """
    message: Message = json.loads(packet)
    if message["kind"] == "failed":
        raise RuntimeFailure(
            message.get("message", ""),
            errno=message.get("errno", 0),
            exit_code=message.get("exit_code", 125),
        )
    return message


def channel_pair() -> tuple[Channel, Channel]:
    """Return two connected ends, close-on-exec."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    return Channel(ours.detach()), Channel(theirs.detach())


def send_with(fd: int, data: bytes, fds: tuple[int, ...]) -> None:
    """Send one message with descriptors; a peer that is gone has said why, or says nothing."""
    with _borrowed(fd) as sock, suppress(BrokenPipeError, ConnectionResetError):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds).tobytes())] if fds else []
        sock.sendmsg([data], rights, socket.MSG_NOSIGNAL)


def receive_with(fd: int) -> tuple[bytes, list[int]]:
    """Return one message and its descriptors; b"" at the end."""
    with _borrowed(fd) as sock:
        try:
            packet = sock.recvmsg(_MESSAGE_BYTES, _ROOM, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:  # told first, and once, when a peer left something unread
            packet = sock.recvmsg(_MESSAGE_BYTES, _ROOM, socket.MSG_CMSG_CLOEXEC)
    fds = array("i")
    for level, kind, data in packet[1]:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data)
    return packet[0], list(fds)


class _borrowed:  # noqa: N801 - a context manager
    """A descriptor as a socket for a while; it stays open."""

    def __init__(self, fd: int) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fileno=fd)

    def __enter__(self) -> socket.socket:
        return self._sock

    def __exit__(self, *_error: object) -> None:
        self._sock.detach()
