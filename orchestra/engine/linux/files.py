"""Small files, read and written without what pathlib and io add to that."""

from __future__ import annotations

import os

_CHUNK_BYTES = 1 << 16


def read_bytes(path: str) -> bytes:
    """Return what is in a file.

    :raises OSError: when it cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks = []
        while chunk := os.read(fd, _CHUNK_BYTES):
            chunks.append(chunk)
    finally:
        os.close(fd)
    return b"".join(chunks)


def write_file(path: str, data: bytes, mode: int) -> None:
    """Make a file, or empty the one that is there, and write it; it has that very mode by then.

    Not synced, and not whole while it is written: for what nobody reads before it is there.

    :raises OSError: when the directory or the disk refuses.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        os.fchmod(fd, mode)
        write_all(fd, data)
    except OSError as err:
        raise OSError(err.errno, err.strerror, path) from err
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write everything to a descriptor, waiting as long as it takes.

    :raises OSError: EPIPE when nobody reads any more, ENOSPC.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
