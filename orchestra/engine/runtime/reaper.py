"""A minimal init (compose ``init: true``): pid 1 forks the program, forwards signals, reaps.

The process is ours without a program of its own: all walls are up, nothing but 0-2 is open, and
it stays non-dumpable, so that the container can neither trace nor read it.
"""

from __future__ import annotations

import os
import signal
from typing import NoReturn

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import Prctl
from orchestra.engine.linux.process import exit_of

ANNOTATION = "org.orchestra.init"
_NOT_FORWARDED = frozenset(
    {signal.SIGCHLD, signal.SIGKILL, signal.SIGSTOP, signal.SIGTTIN, signal.SIGTTOU}
    | {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP}
    | {signal.SIGSYS}
)


def fork_program() -> None:
    """Fork: the child returns and goes on to its execve, the parent stays as init for good.

    :raises OSError: EAGAIN under a pids limit.
    """
    forwarded = signal.valid_signals() - _NOT_FORWARDED
    signal.pthread_sigmask(signal.SIG_BLOCK, forwarded | {signal.SIGCHLD})
    pid = os.fork()
    if pid == 0:
        os.setsid() if not os.isatty(0) else _own_group()
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        return
    # The status channel belongs to the program alone now: its end tells that it runs.
    syscalls.close_range(3)
    syscalls.prctl(Prctl.SET_NAME, b"init\0")
    _reap(pid, forwarded | {signal.SIGCHLD})


def _own_group() -> None:
    """Take the terminal's foreground in a process group of its own."""
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)


def _reap(program: int, waited: set[signal.Signals]) -> NoReturn:
    while True:
        number = signal.sigwait(waited)
        if number != signal.SIGCHLD:
            _forward(program, number)
            continue
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                os._exit(255)
            if pid == 0:
                break
            if pid == program:
                os._exit(exit_of(status)["code"])


def _forward(program: int, number: int) -> None:
    try:
        os.kill(program, number)
    except ProcessLookupError:
        return
