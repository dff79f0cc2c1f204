"""The pipes between a container and its shim.

stdout and stderr are pipes that the container holds for reading and writing: when the shim is
killed, nobody gets SIGPIPE, what is written waits, and a new shim reads on. So the end of the
output is not EOF: the end of the init is, and then what is left is drained.
"""

# No pathlib here: the process stays small.
# ruff: noqa: PTH116

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import suppress

_F_SETPIPE_SZ = 1031
_PIPE_BYTES = 1 << 20


def output_pipe() -> tuple[int, int]:
    """Make a large pipe; return our non-blocking end and the container's, open for both ways.

    :raises OSError: when there are too many files.
    """
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    return read_end, for_output(read_end, write_end)


def for_output(read_end: int, write_end: int) -> int:
    """Make of a pipe one for output: large, not blocking us; return the container's end."""
    both = os.open(f"/proc/self/fd/{write_end}", os.O_RDWR | os.O_CLOEXEC)
    os.close(write_end)
    with suppress(OSError):  # beyond pipe-user-pages-soft: the usual 64 KiB do as well
        fcntl.fcntl(both, _F_SETPIPE_SZ, _PIPE_BYTES)
    os.set_blocking(read_end, False)
    return both


def input_pipe() -> tuple[int, int]:
    """Make a pipe; return the container's end and our non-blocking one.

    :raises OSError: when there are too many files.
    """
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(write_end, False)
    return read_end, write_end


def null() -> int:
    """Open /dev/null for reading."""
    return os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)


def reopen_output(pid: int, number: int) -> int | None:
    """Open the pipe that a living process has as its stdout or stderr, for reading.

    None when it is no pipe: a terminal died with the shim, or the process sent it elsewhere.
    """
    try:
        path = f"/proc/{pid}/fd/{number}"
        if not stat.S_ISFIFO(os.stat(path).st_mode):
            return None
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
