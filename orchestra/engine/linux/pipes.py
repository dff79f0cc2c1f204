"""Pipes: writing all of something, and looking at what is in one without taking it."""

from __future__ import annotations

import ctypes
import os

from orchestra.engine.linux.files import write_all

__all__ = ["tee", "write_all"]

_SPLICE_F_NONBLOCK = 2
_tee = ctypes.CDLL(None, use_errno=True).tee
_tee.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_size_t, ctypes.c_uint]
_tee.restype = ctypes.c_ssize_t


def tee(source: int, target: int, count: int) -> int:
    """Copy up to ``count`` bytes from one pipe into another, leaving them there (man 2 tee).

    :raises BlockingIOError: when there is nothing to copy, or no room.
    """
    copied = int(_tee(source, target, count, _SPLICE_F_NONBLOCK))
    if copied < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return copied
