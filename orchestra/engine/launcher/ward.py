"""The one program that the launcher keeps alive: the project's supervisor."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import Inotify
from orchestra.engine.shim.failure import ShimFailure
from orchestra.engine.shim.pump import Loop

_DELAY_FIRST = 0.1
_DELAY_MAX = 30.0
_STEADY_SECONDS = 10.0
Fork = Callable[[Sequence[str], dict[str, str]], int]


def watch_removals(loop: Loop, directory: str, look: Callable[[], None]) -> None:
    """Call ``look`` whenever something in ``directory`` was deleted."""
    fd = syscalls.inotify_init()
    syscalls.inotify_add_watch(fd, directory, Inotify.DELETE)

    def ready(_events: int) -> None:
        os.read(fd, 4096)
        look()

    loop.watch(fd, ready)


class Ward:
    """Starts a program, and again whenever it dies, later and later; until it exits with 0."""

    def __init__(self) -> None:
        self._argv: list[str] = []
        self._env: dict[str, str] = {}
        self._pid = 0
        self._born = 0.0
        self._delay = _DELAY_FIRST
        self._due: float | None = None

    def begin(self, message: dict[str, object], fork: Fork) -> int:
        """Start the program of a `supervise` message, unless one runs; return its pid.

        :raises ShimFailure: when the message names none.
        """
        argv, env = message.get("argv"), message.get("env")
        if not isinstance(argv, list) or not argv or not isinstance(env, dict):
            raise ShimFailure("cannot supervise: no program is named")
        self._argv = [str(word) for word in argv]
        self._env = {str(key): str(value) for key, value in env.items()}
        if not self._pid:
            self._delay = _DELAY_FIRST
            self._start(fork)
        return self._pid

    def ended(self, pid: int, status: int) -> None:
        """Take note of a dead child; when it was ours and failed, it is due again."""
        if pid != self._pid:
            return
        self._pid = 0
        if status == 0:
            return
        if time.monotonic() - self._born >= _STEADY_SECONDS:
            self._delay = _DELAY_FIRST
        self._due = time.monotonic() + self._delay
        self._delay = min(self._delay * 2, _DELAY_MAX)

    def end(self) -> None:
        """Take the program along when the launcher ends."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)

    def revive(self, fork: Fork) -> float | None:
        """Start what is due; return the seconds until something is, None when nothing will be."""
        if self._due is None:
            return None
        left = self._due - time.monotonic()
        if left > 0:
            return left
        self._start(fork)
        return None

    def _start(self, fork: Fork) -> None:
        self._due = None
        self._born = time.monotonic()
        self._pid = fork(self._argv, self._env)
