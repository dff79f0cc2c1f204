"""What a container's first process leaves behind of whoever forked it."""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Sequence

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import Prctl
from orchestra.engine.linux.process import close_all_but, reset_signals


def leave_session(*, alone: bool = False) -> None:
    """Leave the caller's session, memory protection and signals; ``alone``: outlive the parent."""
    syscalls.prctl(Prctl.SET_DUMPABLE, 0)
    if not alone:
        syscalls.prctl(Prctl.SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    reset_signals()


def take_stdio(stdio: Sequence[int], kept: Sequence[int], first: int = 3) -> tuple[int, ...]:
    """Put stdio on 0-2 and close all from ``first`` on but ``kept``; return where these are now."""
    high, lowest = fcntl.F_DUPFD_CLOEXEC, max(10, first)
    moved = tuple([fcntl.fcntl(fd, high, lowest) for fd in kept])
    copies = [fcntl.fcntl(fd, high, lowest) for fd in stdio]
    for number, copy in enumerate(copies):
        os.dup2(copy, number, inheritable=True)
    close_all_but(moved, first)
    return moved
