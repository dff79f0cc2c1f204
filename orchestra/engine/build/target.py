"""The upper directory of a step while files are put into it, over the layers below.

Writes go into ``upper`` only, by descriptors opened component by component and never through a
link; where a path leads is found in the merged tree (tree.py). A directory that is only in a lower
layer is made in the upper one with its own mode, owner and times, as overlayfs copies it up; where
something is put into it, its time is that of the change.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from pathlib import PurePosixPath

from orchestra.engine.build.modes import ModeChange
from orchestra.engine.build.tree import Directory, Item, Located, Tree
from orchestra.engine.snapshot.removal import remove_tree
from orchestra.errors import BuildError
from orchestra.values import dataclass

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NEW_DIRECTORY_MODE = 0o755


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How what is written looks: owner (None keeps the source's), mode, latest time."""

    owner: tuple[int, int] | None = None
    mode: ModeChange | None = None
    epoch_ns: int | None = None

    def owner_of(self, status: os.stat_result) -> tuple[int, int]:
        """Return the owner that a copy of ``status`` gets."""
        return self.owner or (status.st_uid, status.st_gid)

    def mode_of(self, mode: int) -> int:
        """Return the permission bits that a copy of something with ``mode`` gets."""
        if self.mode is None:
            return stat.S_IMODE(mode)
        return self.mode.apply(mode, directory=stat.S_ISDIR(mode))

    def time_of(self, mtime_ns: int) -> int:
        """Return the modification time that a copy gets: no later than SOURCE_DATE_EPOCH."""
        return mtime_ns if self.epoch_ns is None else min(mtime_ns, self.epoch_ns)


class Target:
    """An upper directory being filled; ``close`` puts the times of directories right."""

    def __init__(self, upper: str, lower: Sequence[str], rules: Rules) -> None:
        self.upper = upper
        self.tree = Tree((upper, *lower))
        self.lower = Tree(lower)
        self.rules = rules
        self._times: dict[tuple[str, ...], int] = {}

    def locate(self, path: str) -> Located:
        """Find where a path of the merged root leads."""
        return self.tree.locate(path)

    def open(self, parts: Sequence[str], *, owner: tuple[int, int] = (0, 0)) -> int:
        """Open a directory of the upper layer, making what is missing; the caller closes it.

        :raises BuildError: when a component is something else than a directory.
        """
        fd = os.open(self.upper, _DIRECTORY)
        below: Directory | None = self.lower.root() if self.lower.layers else None
        try:
            for depth, name in enumerate(parts, 1):
                item = below.child(name) if below is not None else None
                inner = self._step(fd, name, item, tuple(parts[:depth]), owner)
                os.close(fd)
                fd = inner
                if below is not None:
                    entered = below.enter(item) if item and item.is_directory else None
                    below.close()
                    below = entered
        except OSError as error:
            os.close(fd)
            path = PurePosixPath("/", *parts)
            raise BuildError(f'cannot write to "{path}": {error.strerror}') from error
        finally:
            if below is not None:
                below.close()
        return fd

    def _step(
        self,
        fd: int,
        name: str,
        item: Item | None,
        parts: tuple[str, ...],
        owner: tuple[int, int],
    ) -> int:
        try:
            return os.open(name, _DIRECTORY, dir_fd=fd)
        except FileNotFoundError:
            if item is not None and not item.is_directory:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
        os.mkdir(name, 0o700, dir_fd=fd)
        made = os.open(name, _DIRECTORY, dir_fd=fd)
        if item is not None and item.is_directory:
            self._times[parts] = item.stat.st_mtime_ns
            set_metadata(made, item.stat.st_uid, item.stat.st_gid, stat.S_IMODE(item.stat.st_mode))
        else:
            wanted = None if self.rules.mode is None else self.rules.mode.absolute
            if self.rules.epoch_ns is not None:
                self._times[parts] = self.rules.epoch_ns
            self.changed(parts[:-1])
            set_metadata(made, *owner, NEW_DIRECTORY_MODE if wanted is None else wanted)
        return made

    def below(self, parts: Sequence[str]) -> Directory | None:
        """Open the same directory in the lower layers, where it is one."""
        if not self.lower.layers:
            return None
        try:
            return self.lower.directory(parts)
        except (FileNotFoundError, NotADirectoryError):
            return None

    def forget_time(self, parts: Sequence[str]) -> None:
        """Leave a directory's time as it is: somebody else sets it."""
        self._times.pop(tuple(parts), None)

    def changed(self, parts: Sequence[str]) -> None:
        """Let a directory have the time of a change in it, or SOURCE_DATE_EPOCH."""
        self.forget_time(parts)
        if parts and self.rules.epoch_ns is not None:
            self._times[tuple(parts)] = self.rules.epoch_ns

    def close(self) -> None:
        """Set the times of the directories that were made on the way."""
        for parts, time in sorted(self._times.items(), reverse=True):
            fd = os.open(self.upper, _DIRECTORY)
            try:
                for name in parts:
                    inner = os.open(name, _DIRECTORY, dir_fd=fd)
                    os.close(fd)
                    fd = inner
                os.utime(fd, ns=(time, time))
            finally:
                os.close(fd)
        self._times.clear()


def set_metadata(fd: int, uid: int, gid: int, mode: int) -> None:
    """Set owner and mode, in the order that keeps setuid bits."""
    os.fchown(fd, uid, gid)
    os.fchmod(fd, mode)


def present(name: str, fd: int, below: Directory | None) -> Item | None:
    """Find what a name is in the merged directory: ``fd`` is its upper part."""
    try:
        return Item(name, os.stat(name, dir_fd=fd, follow_symlinks=False), 0)
    except FileNotFoundError:
        return below.child(name) if below is not None else None


def remove(name: str, fd: int) -> None:
    """Remove a name from the upper layer, whatever it is; nothing there is fine."""
    try:
        os.unlink(name, dir_fd=fd)
    except FileNotFoundError:
        return
    except IsADirectoryError:
        remove_tree(name, dir_fd=fd)


def drop_untouched(upper: str, lower: Sequence[str], directories: Sequence[str]) -> None:
    """Remove directories from ``upper`` that are there only because something was mounted in them.

    That is: empty, not opaque, and but for their time what they are in the lower layers.
    """
    below = Tree(lower)
    for path in sorted(set(directories), key=len, reverse=True):
        parts = [part for part in path.split("/") if part]
        try:
            with Tree((upper,)).directory(parts[:-1]) as parent:
                item = parent.child(parts[-1]) if parts else None
                located = below.locate(path, follow=False)
                if item and located.item and _same(parent, item, located.item):
                    os.rmdir(item.name, dir_fd=parent.fds[0])
        except OSError:
            continue


def _same(parent: Directory, item: Item, known: Item) -> bool:
    if not item.is_directory or not known.is_directory:
        return False
    with parent.enter(item) as directory:
        attributes = os.listxattr(directory.fds[0])
    now, before = item.stat, known.stat
    return not any(name.endswith(".overlay.opaque") for name in attributes) and (
        now.st_mode,
        now.st_uid,
        now.st_gid,
    ) == (before.st_mode, before.st_uid, before.st_gid)
