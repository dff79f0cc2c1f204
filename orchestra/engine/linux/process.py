"""Processes: who they are beyond a pid, whether they live, and how they ended."""

from __future__ import annotations

import os
import signal

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import Prctl
from orchestra.engine.linux.proc import boot_id, is_alive, read_text, stat_of
from orchestra.values import TypedDict

__all__ = [
    "Exit", "Identity", "boot_id", "close_all_but", "exit_of", "identity", "is_alive", "parent_of",
    "pidfd_open", "pidfd_send_signal", "read_text", "reset_signals", "set_child_subreaper",
    "wait_exit",
]  # fmt: skip


class Identity(TypedDict):
    """A process that cannot be mistaken; ``start_time`` is field 22 of /proc/PID/stat, in ticks."""

    pid: int
    start_time: int
    boot_id: str


class Exit(TypedDict):
    """How a process ended: ``code`` is 0-255, 128+n for signal n."""

    code: int
    signal: int | None


def identity(pid: int) -> Identity:
    """Return the identity of a process that exists now.

    :raises ProcessLookupError: when there is none (FileNotFoundError from /proc becomes it).
    """
    try:
        start_time = stat_of(pid)[1]
    except FileNotFoundError as err:
        raise ProcessLookupError(f"no process {pid}") from err
    return {"pid": pid, "start_time": start_time, "boot_id": boot_id()}


def parent_of(who: Identity) -> int:
    """Return the parent of that very process, 0 when it is gone."""
    try:
        fields = read_text(f"/proc/{who['pid']}/stat").rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[1]) if int(fields[19]) == who["start_time"] else 0


def pidfd_open(who: Identity) -> int:
    """Return a close-on-exec pidfd of that very process (man 2 pidfd_open, Linux 5.3).

    :raises ProcessLookupError: when it is gone, or the pid is another's by now.
    """
    fd = os.pidfd_open(who["pid"])
    if is_alive(who):
        return fd
    os.close(fd)
    raise ProcessLookupError(f"no process {who['pid']} of that start time")


def pidfd_send_signal(pidfd: int, number: int) -> None:
    """Send a signal through a pidfd (man 2 pidfd_send_signal, Linux 5.1).

    :raises ProcessLookupError: when the process is gone.
    """
    signal.pidfd_send_signal(pidfd, number)


set_child_subreaper = syscalls.prctl_call(Prctl.SET_CHILD_SUBREAPER, 1)
"""Become the parent of orphaned descendants (man 2 prctl, PR_SET_CHILD_SUBREAPER): never fails."""


def exit_of(status: int) -> Exit:
    """Turn a wait status (os.waitpid) into an exit code and a signal."""
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return {"code": 128 + number, "signal": number}
    return {"code": os.WEXITSTATUS(status), "signal": None}


def wait_exit(pid: int) -> Exit:
    """Wait until a child ends and reap it.

    :raises ChildProcessError: when it is no child of ours.
    """
    return exit_of(os.waitpid(pid, 0)[1])


def close_all_but(keep: tuple[int, ...], first: int = 3) -> None:
    """Close every descriptor from ``first`` on but those to keep."""
    for fd in sorted(keep):
        if fd < first:
            continue
        if fd > first:
            syscalls.close_range(first, fd - 1)
        first = fd + 1
    syscalls.close_range(first)


def reset_signals() -> None:
    """Give every signal its default action and unblock all: what a new program expects.

    Python ignores SIGPIPE and SIGXFSZ, and ignored signals stay so across execve. Which ones are
    not at their default is read from /proc/self/status: asking for each of 64 takes 0.3 ms.
    The kernel is told directly: libc lets nobody touch 32 and 33, which a parent may have ignored.
    """
    for line in read_text("/proc/self/status").splitlines():
        if line.startswith(("SigIgn:", "SigCgt:")):
            mask = int(line.split()[1], 16)
            for number in range(mask.bit_length()):
                if mask >> number & 1:
                    syscalls.default_action(number + 1)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
