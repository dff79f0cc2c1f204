"""The shim's side of sending output on: what waits for the receiver is bounded, and so is waiting.

A container that writes faster than its receiver takes is held up, as long as that takes something:
for ``_PATIENCE_SECONDS``. From then on, and at once in mode non-blocking, what finds no room is not
sent, until everything that waits has gone. In the log file it is all the same.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from orchestra.engine.shim import forwarder
from orchestra.engine.shim.failure import ShimFailure
from orchestra.engine.shim.message import pack
from orchestra.engine.shim.protocol import Forward

_PATIENCE_SECONDS = 5.0
_ANSWER_SECONDS = 20.0
_END_SECONDS, _END_SECONDS_MAX = 2.0, 10.0
"""How long an end waits for a receiver that takes nothing, and for one that takes something."""
_AGAIN_SECONDS = 1.0
_BEYOND = 16
"""How many times its bound a blocking buffer may hold: it is emptied while a pipe is drained."""


class Watcher(Protocol):
    """A poll loop, as pump.Loop is one."""

    def watch(self, fd: int, handler: Callable[[int], None], events: int = ...) -> None:
        """Call ``handler`` when ``fd`` is ready."""

    def forget(self, fd: int) -> None:
        """Stop that."""


class Forwarding:
    """What is to be sent, and the child that sends it (forwarder.py)."""

    def __init__(self, forward: Forward, container: str, loop: Watcher) -> None:
        self._forward = forward
        self._container = container
        self._loop = loop
        self._pid = 0
        self._begun = 0.0
        self._line, self._theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._line.settimeout(0)
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._full_since: float | None = None
        self._impatient = not forward["blocking"]
        self._resume: Callable[[], None] | None = None

    def begin(self, *, must_answer: bool) -> None:
        """Start sending.

        :raises ShimFailure: when the receiver must answer and does not.
        """
        answer = self._start()
        try:
            if must_answer and (why := _first_word(answer)):
                self.close()
                raise ShimFailure(f"cannot start the container: {self._driver()}: {why}")
        finally:
            os.close(answer)

    def write(self, stream: str, texts: list[str], nanoseconds: int, *, ended: bool) -> None:
        """Send output, now or when there is room; what is beyond the bound is not sent."""
        bound = self._forward["buffer_bytes"] * (1 if self._impatient else _BEYOND)
        for packet in pack(stream, texts, nanoseconds, ended=ended):
            if self._waiting and self._waiting_bytes + len(packet) > bound:
                break
            self._waiting.append(packet)
            self._waiting_bytes += len(packet)
        self._flush()

    def holds_up(self, resume: Callable[[], None]) -> bool:
        """Tell whether the container has to wait; ``resume`` is called when that is over."""
        if self._impatient or self._waiting_bytes <= self._forward["buffer_bytes"]:
            return False
        self._resume = resume
        self._full_since = self._full_since or time.monotonic()
        return True

    def tick(self) -> float | None:
        """Do what is due; return the seconds after which that is to be asked again."""
        now = time.monotonic()
        if self._full_since is not None:
            left = self._full_since + _PATIENCE_SECONDS - now
            if left > 0:
                return left
            self._impatient = True
            self._let_go()
        if self._pid == 0:
            left = self._begun + _AGAIN_SECONDS - now
            if left > 0:
                return left
            with suppress(OSError):  # no process to be had: it is tried again
                os.close(self._start())
        return None

    def ended(self, pid: int) -> None:
        """Note the end of a child; one that was killed is followed by another (``tick``)."""
        if pid == self._pid:
            self._pid = 0

    def close(self) -> None:
        """Send what is left, for a bounded time, and end the child."""
        seconds = _END_SECONDS if self._full_since is None else 0.0
        deadline = time.monotonic() + _END_SECONDS_MAX
        poll = select.poll()
        poll.register(self._line, select.POLLOUT)
        while self._waiting and time.monotonic() < deadline and poll.poll(seconds * 1000):
            self._flush()
        self._loop.forget(self._line.fileno())
        self._line.close()
        self._theirs.close()
        if self._pid:
            _end_child(self._pid, 0.0 if self._waiting else seconds)
            self._pid = 0

    def _driver(self) -> str:
        if "syslog" not in self._forward:
            return "cannot reach journald"
        return f"cannot reach syslog at {self._forward['syslog']['address'] or 'this host'}"

    def _start(self) -> int:
        self._begun = time.monotonic()
        self._pid, answer = forwarder.start(self._forward, self._container, self._theirs)
        return answer

    def _flush(self, _events: int = 0) -> None:
        """Pass on what the child's line takes."""
        try:
            while self._waiting:
                self._line.send(self._waiting[0])
                self._waiting_bytes -= len(self._waiting.popleft())
        except BlockingIOError:
            self._loop.watch(self._line.fileno(), self._flush, select.POLLOUT)
        else:
            self._loop.forget(self._line.fileno())
            self._impatient = not self._forward["blocking"]
        if self._waiting_bytes <= self._forward["buffer_bytes"] // 2:
            self._let_go()

    def _let_go(self) -> None:
        """Let the container go on."""
        self._full_since = None
        resume, self._resume = self._resume, None
        if resume:
            resume()


def _first_word(answer: int) -> str:
    """Return why there is no connection; "" when there is one."""
    poll = select.poll()
    poll.register(answer, select.POLLIN)
    if not poll.poll(_ANSWER_SECONDS * 1000):
        return f"no answer within {_ANSWER_SECONDS:.0f} seconds"
    word = os.read(answer, 4096)
    if word == forwarder.CONNECTED:
        return ""
    return word.decode("utf-8", "replace") or "what sends the output has ended"


def _end_child(pid: int, seconds: float) -> None:
    """Give a child a moment to end, then end it."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if not poll.poll(seconds * 1000):
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
