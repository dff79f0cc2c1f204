"""What file systems are asked as a whole: for few, apart from the system calls with many flags."""

from __future__ import annotations

import ctypes

from orchestra.engine.linux.calls import check, libc


def filesystem_type(fd: int) -> int:
    """Return f_type of the file system that ``fd`` lies on (FsMagic) (man 2 fstatfs)."""
    buffer = ctypes.create_string_buffer(256)
    check(libc.fstatfs(ctypes.c_int(fd), buffer))
    return int.from_bytes(buffer.raw[:8], "little")


def syncfs(fd: int) -> None:
    """Write everything of the file system that ``fd`` lies on to the disk (man 2 syncfs).

    :raises OSError: EIO, ENOSPC, EDQUOT: something could not be written since ``fd`` was opened.
    """
    check(libc.syncfs(ctypes.c_int(fd)))
