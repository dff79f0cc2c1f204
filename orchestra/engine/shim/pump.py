"""The monitor's poll loop: descriptors and what to do when they are ready; output into the log."""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Callable

from orchestra.engine.linux.pipes import tee
from orchestra.engine.shim.console import Attachments
from orchestra.engine.shim.log import Log
from orchestra.engine.shim.logfile import LineSplitter

_READ_BYTES = 256 * 1024
_DRAIN_SECONDS = 2.0
_INPUT_BACKLOG_BYTES = 1 << 20
_INPUT_FULL_BYTES = _INPUT_BACKLOG_BYTES // 2


class Loop:
    """poll(2) with one handler per descriptor; ``stop`` ends it."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._stopped = False

    def watch(self, fd: int, handler: Callable[[int], None], events: int = select.POLLIN) -> None:
        """Call ``handler`` with the events of ``fd`` from now on, or with other events."""
        self._poll.register(fd, events)
        self._handlers[fd] = handler

    def forget(self, fd: int) -> None:
        """Stop watching ``fd``."""
        if self._handlers.pop(fd, None):
            self._poll.unregister(fd)

    def stop(self) -> None:
        """Make ``run`` return."""
        self._stopped = True

    def run(self, prepare: Callable[[], float | None] | None = None) -> None:
        """Serve until stopped. ``prepare`` is called before each wait.

        It returns the seconds after which it wants to be called again, None for no hurry.
        """
        while not self._stopped:
            seconds = prepare() if prepare else None
            if self._stopped:
                return
            for fd, events in self._poll.poll(None if seconds is None else seconds * 1000 + 1):
                handler = self._handlers.get(fd)
                if handler:
                    handler(events)


class Output:
    """One stream of the container: read, split, logged, shown to those attached.

    What comes by a pipe is taken out of it only when it is in the log: a shim that is killed in
    between leaves it to the next, which may log it once more, but loses none.
    """

    def __init__(
        self, fd: int, stream: str, log: Log | None, attachments: Attachments | None
    ) -> None:
        self.fd = fd
        self._stream = stream
        self._log = log
        self._attachments = attachments
        self._splitter = LineSplitter()
        self._copy: tuple[int, int] | None = None
        if log is not None and stat.S_ISFIFO(os.fstat(fd).st_mode):
            self._copy = os.pipe2(os.O_CLOEXEC)

    def pump(self) -> tuple[bool, list[int]]:
        """Read once; tell whether there was anything, and which clients were dropped.

        :raises BlockingIOError: when nothing is there now.
        """
        try:
            data = self._look()
        except BlockingIOError:
            raise
        except OSError:
            return False, []  # EIO of a terminal that nobody has open
        if not data:
            return False, []
        if self._log:
            texts = self._splitter.feed(data)
            if texts:
                self._log.write(self._stream, texts, time.time_ns())
        if self._copy:
            os.read(self.fd, len(data))
        return True, self._attachments.broadcast(self._stream, data) if self._attachments else []

    def _look(self) -> bytes:
        """Return what is there; in a pipe that is logged it stays."""
        if self._copy is None:
            return os.read(self.fd, _READ_BYTES)
        reader, writer = self._copy
        return os.read(reader, tee(self.fd, writer, _READ_BYTES))

    def drain(self) -> None:
        """Take what is left in the pipe, for a bounded time, and the last line without its end."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        try:
            while time.monotonic() < deadline and self.pump()[0]:
                pass
        except BlockingIOError:
            pass
        if self._log and (texts := self._splitter.flush()):
            self._log.write(self._stream, texts, time.time_ns(), ended=True)


class Input:
    """The container's stdin: what clients sent and it has not taken yet, bounded."""

    def __init__(self, fd: int, loop: Loop, *, close_at_end: bool) -> None:
        self.fd = fd
        self._loop = loop
        self._pending = bytearray()
        self._close_at_end = close_at_end
        self._ended = False
        self._waiting: list[Callable[[], None]] = []

    def is_full(self) -> bool:
        """Tell whether nobody should send more until there is room."""
        return len(self._pending) >= _INPUT_FULL_BYTES

    def when_room(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once everything is passed on, or lost."""
        self._waiting.append(callback)

    def write(self, data: bytes) -> None:
        """Pass data on, now or when there is room; beyond the bound it is lost."""
        if self._ended or self.fd < 0 or len(self._pending) > _INPUT_BACKLOG_BYTES:
            return
        self._pending += data
        self._flush()

    def end(self) -> None:
        """Close it once everything is passed on; a terminal stays open."""
        if self._close_at_end:
            self._ended = True
            self._flush()

    def _flush(self, _events: int = 0) -> None:
        try:
            while self._pending:
                del self._pending[: os.write(self.fd, self._pending)]
        except BlockingIOError:
            self._loop.watch(self.fd, self._flush, select.POLLOUT)
            return
        except OSError:
            self._pending.clear()
        self._loop.forget(self.fd)
        if self._ended and self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()
