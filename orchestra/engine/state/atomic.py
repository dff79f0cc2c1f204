"""Files that are replaced as a whole."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from orchestra.engine.linux.directories import make_private
from orchestra.engine.linux.files import write_all
from orchestra.errors import StateError


def write_atomic(path: Path | str, data: bytes, *, mode: int = 0o600) -> os.stat_result:
    """Replace ``path`` with ``data``: whole or not at all, also when the power fails.

    Returns the new file's status.

    :raises StateError: when the directory or the disk refuses.
    """
    directory, name = os.path.split(path)
    temporary = f"{directory or '.'}/.{name}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        status = _write(temporary, data, mode)
        os.replace(temporary, path)  # noqa: PTH105 - at each start
    except OSError as err:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise StateError(
            f'cannot write "{path}": {err.strerror}',
            hint="make room on the disk, or the directory writable, and run the command again",
        ) from err
    return status


def _write(path: str, data: bytes, mode: int) -> os.stat_result:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, mode)
    except (FileNotFoundError, NotADirectoryError):
        make_private(path.rpartition("/")[0])
        fd = os.open(path, flags, mode)
    try:
        write_all(fd, data)
        os.fdatasync(fd)
        return os.fstat(fd)
    finally:
        os.close(fd)


def unfinished(path: Path) -> list[Path]:
    """Return what :func:`write_atomic` left beside ``path`` where it was killed."""
    found = []
    with suppress(FileNotFoundError):
        for other in path.parent.iterdir():
            pid, _, chance = other.name.removeprefix(f".{path.name}.").partition(".")
            if pid.isdigit() and len(chance) == 8 and other.name.startswith("."):
                found.append(other)
    return found
