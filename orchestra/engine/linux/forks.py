"""Forks that os.fork cannot do: into namespaces and cgroups, and of siblings.

Only for a single-threaded process: libc's own fork handlers do not run, Python's do.
"""

from __future__ import annotations

import ctypes
import signal
import sys
from collections.abc import Callable
from functools import partial

from orchestra.engine.linux.calls import NUMBERS, check, syscall_with_gil
from orchestra.engine.linux.flags import CloneFlag

_before_fork = ctypes.pythonapi.PyOS_BeforeFork
_after_fork_child = ctypes.pythonapi.PyOS_AfterFork_Child
_after_fork_parent = ctypes.pythonapi.PyOS_AfterFork_Parent

_CLONE_ARGUMENTS = (
    "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls",
    "set_tid", "set_tid_size", "cgroup",
)  # fmt: skip


class _CloneArguments(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in _CLONE_ARGUMENTS)


def clone3(flags: CloneFlag | int, *, cgroup_fd: int = -1) -> int:
    """Fork into new namespaces and a cgroup v2 directory; 0 in the child (man 2 clone3, Linux 5.7).

    Only for a single-threaded process: libc's own fork handlers do not run, Python's do.

    :raises OSError: EBUSY, EOPNOTSUPP for a cgroup that takes no processes; ENOSYS, EPERM.
    """
    arguments = _CloneArguments(flags=int(flags), exit_signal=signal.SIGCHLD)
    if cgroup_fd >= 0:
        arguments.flags |= CloneFlag.INTO_CGROUP
        arguments.cgroup = cgroup_fd
    return _fork_by(_clone_call(arguments))


def sibling_forker() -> Callable[[], int]:
    """Return a function that forks a sibling: a child of the caller's own parent (CLONE_PARENT).

    As ``forker``; the sibling's end sends its parent the signal that the caller's end will.
    """
    return partial(_fork_alone, _clone_call(_CloneArguments(flags=int(CloneFlag.PARENT))))


def forker(flags: CloneFlag, exit_signal: int = signal.SIGCHLD) -> Callable[[], int]:
    """Return a function that forks as ``clone3`` does.

    ``exit_signal``: of the child's end; 0 for none, and then only wait(2) with __WALL finds it.

    It makes nothing that need not be made each time, so that few pages are written, and until
    Python 3.13 its handlers do not run in the caller: what they hold meanwhile, the import lock, is
    for threads.
    """
    arguments = _CloneArguments(flags=int(flags), exit_signal=exit_signal)
    return partial(_fork_alone, _clone_call(arguments))


def _clone_call(arguments: _CloneArguments) -> tuple[object, object, object]:
    size = ctypes.c_long(ctypes.sizeof(arguments))
    return ctypes.c_long(NUMBERS["clone3"]), ctypes.byref(arguments), size


def _fork_by(how: tuple[object, object, object]) -> int:
    _before_fork()
    pid = int(syscall_with_gil(*how))
    if pid == 0:
        _after_fork_child()
        return 0
    _after_fork_parent()
    return check(pid)


def _fork_without_parent(how: tuple[object, object, object]) -> int:
    pid: int = syscall_with_gil(*how)
    if pid == 0:
        _after_fork_child()
    return pid if pid >= 0 else check(pid)


# From 3.13 on the handler in the child gives back what the parent's has taken.
_fork_alone = _fork_by if sys.version_info >= (3, 13) else _fork_without_parent
