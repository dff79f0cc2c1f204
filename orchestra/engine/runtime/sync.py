"""Typed messages between create (or start) and the coming container, one per packet.

The child's end is close-on-exec: the peer reads the end of the stream when execve has succeeded.
"""

from __future__ import annotations

import json
import os
import socket
from typing import Literal, NotRequired, TypedDict

from orchestra.engine.runtime.failure import RuntimeFailure

_PACKET_MAX = 65536


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
