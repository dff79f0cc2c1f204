"""Look into a root through its layer directories, without mounting it.

Every path is walked by openat2 inside one layer, so that no link in an image leads to the host's
own files. A link that leads from one layer into another is not followed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import Resolve

_FILE_BYTES_MAX = 16 * 1024 * 1024
_CHUNK_BYTES = 1 << 20
_INSIDE = Resolve.IN_ROOT | Resolve.NO_MAGICLINKS


def read_in_layers(layers: Sequence[str], path: str) -> str:
    """Return the text of a small regular file of a root; "" when there is none."""
    for layer in layers:
        try:
            directory = os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            text = _read_in_root(directory, path)
        finally:
            os.close(directory)
        if text is not None:
            return text
    return ""


def _read_in_root(directory: int, path: str) -> str | None:
    """Read a file below a directory as if that were the root; a whiteout ends the search."""
    try:
        found = syscalls.openat2(directory, path, os.O_PATH, resolve=_INSIDE)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(found).st_mode):
            return ""
        # that very file, whatever has its name by now
        fd = os.open(f"/proc/self/fd/{found}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    finally:
        os.close(found)
    try:
        return _read(fd).decode("utf-8", "replace")
    finally:
        os.close(fd)


def _read(fd: int) -> bytes:
    data = b""
    while len(data) < _FILE_BYTES_MAX and (more := os.read(fd, _CHUNK_BYTES)):
        data += more
    return data[:_FILE_BYTES_MAX]


def exists_in_layers(layers: Sequence[str], path: str) -> bool:
    """Tell whether a path is there in any layer, whiteouts aside."""
    for layer in layers:
        try:
            directory = os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fd = syscalls.openat2(directory, path.lstrip("/") or ".", os.O_PATH, resolve=_INSIDE)
            status = os.fstat(fd)
            os.close(fd)
        except OSError:
            continue
        finally:
            os.close(directory)
        return not (stat.S_ISCHR(status.st_mode) and status.st_rdev == 0)
    return False


def remove_empty(root: str, path: str) -> None:
    """Remove an empty file or directory below ``root``.

    Nothing happens to what is not empty, is not there, or is reached by a link.
    """
    names = [name for name in path.split("/") if name]
    strict = Resolve.BENEATH | Resolve.NO_SYMLINKS | Resolve.NO_MAGICLINKS
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        path_of_parent = "/".join(names[:-1]) or "."
        flags = os.O_RDONLY | os.O_DIRECTORY
        parent = syscalls.openat2(directory, path_of_parent, flags, resolve=strict)
    except OSError:
        return
    finally:
        os.close(directory)
    try:
        status = os.lstat(names[-1], dir_fd=parent)
        if stat.S_ISDIR(status.st_mode):
            os.rmdir(names[-1], dir_fd=parent)
        elif stat.S_ISREG(status.st_mode) and status.st_size == 0:
            os.unlink(names[-1], dir_fd=parent)
    except OSError:
        return
    finally:
        os.close(parent)
