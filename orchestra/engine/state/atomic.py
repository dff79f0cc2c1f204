"""Files that are replaced as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestra.engine.linux.directories import make_private
from orchestra.engine.linux.files import write_all
from orchestra.errors import StateError


def write_atomic(path: Path, data: bytes, *, mode: int = 0o600) -> os.stat_result:
    """Replace ``path`` with ``data``: whole or not at all, also when the power fails.

    Returns the new file's status.

    :raises StateError: when the directory or the disk refuses.
    """
    with written_aside(path, data, mode=mode) as status:
        return status


@contextmanager
def written_aside(path: Path, data: bytes, *, mode: int = 0o600) -> Iterator[os.stat_result]:
    """Write ``data`` through to the disk; it becomes ``path`` as the block ends well.

    Gives the new file's status.

    :raises StateError: when the directory or the disk refuses.
    """
    temporary = f"{path.parent}/.{path.name}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        try:
            status = _write(temporary, data, mode)
        except OSError as err:
            raise _unwritable(path, err) from err
        yield status
        try:
            os.replace(temporary, path)  # noqa: PTH105 - of each start
        except OSError as err:
            raise _unwritable(path, err) from err
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise


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


def _unwritable(path: Path, err: OSError) -> StateError:
    return StateError(
        f'cannot write "{path}": {err.strerror}',
        hint="make room on the disk, or the directory writable, and run the command again",
    )


def unfinished(path: Path) -> list[Path]:
    """Return what :func:`write_atomic` left beside ``path`` where it was killed."""
    found = []
    with suppress(FileNotFoundError):
        for other in path.parent.iterdir():
            pid, _, chance = other.name.removeprefix(f".{path.name}.").partition(".")
            if pid.isdigit() and len(chance) == 8 and other.name.startswith("."):
                found.append(other)
    return found
