"""Scratch directories of one build: gone when it ends, swept by a later build when it was killed.

Each build holds a flock on its own directory; what nobody holds is left over and is removed.
"""

from __future__ import annotations

import fcntl
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from orchestra.engine.snapshot.removal import remove_tree
from orchestra.errors import BuildError


def make_private(path: Path) -> None:
    """Make a directory and what is missing above it, for nobody else's eyes."""
    missing = [parent for parent in (path, *path.parents) if not parent.exists()]
    for directory in reversed(missing):
        directory.mkdir(mode=0o700, exist_ok=True)


class Workspace:
    """Numbered directories below one private directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._numbers = itertools.count(1)  # of threads, too

    def make(self, name: str) -> Path:
        """Make a new directory of one's own."""
        path = self.directory / f"{next(self._numbers)}-{name}"
        path.mkdir(mode=0o700)
        return path


@contextmanager
def workspace(parent: PurePosixPath) -> Iterator[Workspace]:
    """Make a private directory below ``parent`` and remove it, and dead ones, at the end.

    :raises BuildError: when it cannot be made.
    """
    root = Path(parent)
    path = root / os.urandom(8).hex()
    try:
        make_private(root)
        path.mkdir(mode=0o700)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise BuildError(f'cannot build: cannot make "{path}": {error.strerror}') from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        _sweep(root)
        yield Workspace(path)
    finally:
        _remove(path)
        os.close(fd)


def _remove(directory: Path) -> None:
    with suppress(OSError):
        remove_tree(str(directory))


def _sweep(root: Path) -> None:
    for left in root.iterdir():
        try:
            fd = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        else:
            _remove(left)
        finally:
            os.close(fd)
