"""A child of the shim that sends output on. It may wait for a receiver, the shim may not.

It reads messages from a line (a socketpair), tries for as long as it takes, and takes a packet off
the line only once it is sent: when it is killed the next one goes on there. The line's end is its
end. Nothing that it meets on the way (a name that does not resolve, TLS, a receiver that stalls)
touches the container or its shim.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from contextlib import suppress
from typing import Protocol

from orchestra.engine.linux import process
from orchestra.engine.shim.journal import Journal
from orchestra.engine.shim.message import PACKET_BYTES, Message, unpack
from orchestra.engine.shim.protocol import Forward
from orchestra.engine.shim.syslog import Syslog

_PAUSE_MS, _PAUSE_MS_MAX = 100, 5000


class Sender(Protocol):
    """A receiver, as this program sees it.

    ``stream``: messages may be sent together. ``loses``: what is not taken at once is not kept.
    """

    name: str
    stream: bool
    loses: bool

    def connect(self) -> None:
        """Connect, or raise OSError."""

    def close(self) -> None:
        """Hang up."""

    def encode(self, message: Message) -> bytes:
        """Return what is sent; empty for nothing."""

    def send(self, data: bytes) -> None:
        """Send, or raise OSError."""


def sender_of(forward: Forward, pid: int) -> Sender:
    """Return what speaks to a receiver; ``pid`` is who the messages are said to come from."""
    if "syslog" in forward:
        return Syslog(forward["syslog"], forward["tag"], pid)
    return Journal(forward["fields"])


CONNECTED = b"\n"
"""The first word of a program that has reached its receiver."""


class Forwarder:
    """Messages of one line to one receiver."""

    def __init__(self, sender: Sender, line: socket.socket, container: str) -> None:
        self._sender = sender
        self._line = line
        self._container = container
        self._connected = False
        self._complained = False

    def serve(self) -> None:
        """Send until the line ends, or the receiver is away when it does."""
        while packet := self._line.recv(PACKET_BYTES, socket.MSG_PEEK):
            encoded = [data for message in unpack(packet) if (data := self._sender.encode(message))]
            if self._sender.stream:
                encoded = [b"".join(encoded)] if encoded else []
            if not all(self._deliver(data) for data in encoded):
                return
            self._line.recv(1)
        self._sender.close()

    def connect(self) -> str:
        """Connect for the first time; return why not, or ""."""
        try:
            self._sender.connect()
        except (OSError, ValueError) as err:  # the latter for a name that none can have
            self._sender.close()
            return reason(err)
        self._connected = True
        return ""

    def _deliver(self, data: bytes) -> bool:
        """Send something, however often it takes; False when the line ended meanwhile."""
        pause, again = _PAUSE_MS, self._connected
        while True:
            try:
                if not self._connected:
                    self._sender.connect()
                    self._connected = True
                self._sender.send(data)
            except (OSError, ValueError) as err:
                self._sender.close()
                self._connected = False
                if again:  # once at once: the receiver may just have been started again
                    again = False
                    continue
                self._complain(err)
                if self._sender.loses:
                    return True
                if self._ends_within(pause):
                    return False
                pause = min(pause * 2, _PAUSE_MS_MAX)
            else:
                self._complained = self._complained and self._sender.loses
                return True

    def _complain(self, err: OSError | ValueError) -> None:
        """Say once per absence that nobody takes the messages; where, is in launcher.log."""
        if not self._complained:
            self._complained = True
            text = f"{self._container}: cannot send output to {self._sender.name}: {reason(err)}\n"
            with suppress(OSError):
                os.write(2, text.encode())

    def _ends_within(self, milliseconds: int) -> bool:
        """Wait; tell whether nobody is left at the other end of the line."""
        poll = select.poll()
        poll.register(self._line, 0)
        return bool(poll.poll(milliseconds))


def reason(err: OSError | ValueError) -> str:
    """Return why something failed, in lower case."""
    number = err.errno if isinstance(err, OSError) and type(err).__module__ == "builtins" else None
    return (os.strerror(number) if number else str(err)).lower()


def start(forward: Forward, container: str, line: socket.socket) -> tuple[int, int]:
    """Fork the program; return its pid, and a pipe that says how it began.

    What it says is why there is no connection, and CONNECTED when there is one.

    :raises OSError: when nothing can be forked.
    """
    answer, answering = os.pipe2(os.O_CLOEXEC)
    shim = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        os.close(answer)
        os.close(answering)
        raise
    if pid == 0:
        _run(sender_of(forward, shim), container, line, answering)
    os.close(answering)
    return pid, answer


def _run(sender: Sender, container: str, line: socket.socket, answering: int) -> None:
    """Be the program. Never returns."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        process.close_all_but((line.fileno(), answering))
        forwarder = Forwarder(sender, line, container)
        failure = forwarder.connect()
        with suppress(OSError):
            os.write(answering, failure.encode() or CONNECTED)
        os.close(answering)
        forwarder.serve()
        code = 0
    except BaseException:  # noqa: BLE001 - the entry point of a process
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)
