"""How a system call is made: numbers by architecture, arguments through ctypes, errno to OSError.

The only general ctypes in the house; syscalls.py has a typed function for each call.
"""

from __future__ import annotations

import ctypes
import os

_BY_MACHINE = {
    "pivot_root": (155, 41),
    "capget": (125, 90),
    "capset": (126, 91),
    "keyctl": (250, 219),
    "seccomp": (317, 277),
    "bpf": (321, 280),
    "rt_sigaction": (13, 134),
    "sched_setattr": (314, 274),
    "ioprio_set": (251, 30),
}
"""Calls numbered differently on x86_64 and on the generic table of aarch64, riscv64."""
_COMMON = {
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "mount_setattr": 442,
    "quotactl_fd": 443,
}
"""Calls numbered alike on every architecture (424 and above)."""

MACHINE = os.uname().machine
NUMBERS = {name: pair[MACHINE != "x86_64"] for name, pair in _BY_MACHINE.items()} | _COMMON

libc = ctypes.CDLL(None, use_errno=True)
_syscall = libc.syscall
_syscall.restype = ctypes.c_long
syscall_with_gil = ctypes.PyDLL(None, use_errno=True).syscall
"""Keeps the interpreter's lock: for what returns twice, once in the child."""
syscall_with_gil.restype = ctypes.c_long

_Argument = int | bytes | ctypes.Structure | ctypes.Array[ctypes.c_char] | None


def _convert(value: _Argument) -> object:
    if isinstance(value, int):
        return ctypes.c_long(value)
    if isinstance(value, ctypes.Structure):
        return ctypes.byref(value)
    return value


def _failed(path: str | bytes | None) -> OSError:
    number = ctypes.get_errno()
    if path is None:
        return OSError(number, os.strerror(number))
    return OSError(number, os.strerror(number), path)


def call(name: str, *arguments: _Argument, path: str | None = None) -> int:
    """Make a system call and return its result.

    :raises OSError: for a negative one.
    """
    result = int(_syscall(ctypes.c_long(NUMBERS[name]), *map(_convert, arguments)))
    if result < 0:
        raise _failed(path)
    return result


def check(result: int, path: str | bytes | None = None) -> int:
    """Return the result of a function of libc.

    :raises OSError: for a negative one.
    """
    if result < 0:
        raise _failed(path)
    return result


def encode(text: str | None) -> bytes | None:
    """Return text as the kernel takes it; None is a null pointer."""
    return None if text is None else os.fsencode(text)
