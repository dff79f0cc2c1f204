"""Copying chosen entries into a target, as ``cp -a`` would, by the rules of BuildKit's COPY.

A directory's contents are merged into the destination, which takes its time and nothing else of it,
of the context itself not even that; a file goes into it when it is a directory; hard links inside
one source stay; a file that changed since it was listed is an error.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from orchestra.engine.build.context import Chosen
from orchestra.engine.build.hashing import Entry
from orchestra.engine.build.target import Rules, Target, present, remove, set_metadata
from orchestra.engine.build.tree import Directory, Item, Tree
from orchestra.engine.linux.pipes import write_all
from orchestra.errors import BuildError
from orchestra.values import dataclass, field

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK = 1 << 20
_RANGE_MIN = 1 << 16
CAPABILITY = "security.capability"


def copy_chosen(tree: Tree, chosen: Chosen, target: Target, destination: str) -> None:
    """Copy one source to ``destination`` (absolute; a trailing slash means: a directory).

    :raises BuildError: when something is in the way, or the source changed.
    """
    try:
        _copy(tree, chosen, target, destination)
    except OSError as error:
        raise BuildError(
            f'cannot copy "{chosen.name or "/"}" to "{destination}": {error.strerror}'
        ) from error


def _copy(tree: Tree, chosen: Chosen, target: Target, destination: str) -> None:
    owner = target.rules.owner or (0, 0)
    make = destination if destination.endswith("/") else destination.rpartition("/")[0]
    os.close(target.open(target.locate(make).parts, owner=owner))
    located = target.locate(destination)
    copier = _Copier(target.rules)
    if stat.S_ISDIR(chosen.entry.status.st_mode):
        if located.exists and not located.is_directory:
            raise BuildError(f'cannot copy a directory to "{destination}": it is a file')
        with tree.directory(chosen.parts) as source:
            fd = target.open(located.parts, owner=owner)
            try:
                copier.root = fd
                copier.children(chosen.entry, source, fd, target.below(located.parts), "")
                target.changed(located.parts)
                if chosen.parts:
                    target.forget_time(located.parts)
                    time = target.rules.time_of(chosen.entry.status.st_mtime_ns)
                    os.utime(fd, ns=(time, time))
            finally:
                os.close(fd)
        return
    parts = located.parts
    if located.is_directory:
        parts = (*parts, chosen.name)
    with tree.directory(chosen.parts[:-1]) as source:
        fd = target.open(parts[:-1], owner=owner)
        target.changed(parts[:-1])
        below = target.below(parts[:-1])
        try:
            copier.root = fd
            copier.place(chosen.entry, source, parts[-1], fd, below, "")
        finally:
            os.close(fd)
            if below is not None:
                below.close()


@dataclass(slots=True)
class _Copier:
    """Copies below one source; ``links`` maps inodes to the paths they were first copied to."""

    rules: Rules
    root: int = -1
    links: dict[tuple[int, int], str] = field(default_factory=dict)

    def children(
        self, entry: Entry, source: Directory, fd: int, below: Directory | None, path: str
    ) -> None:
        """Copy what is in a directory; closes ``below``."""
        try:
            for child in entry.children:
                self.place(child, source, child.name, fd, below, path)
        finally:
            if below is not None:
                below.close()

    def place(
        self,
        entry: Entry,
        source: Directory,
        name: str,
        fd: int,
        below: Directory | None,
        path: str,
    ) -> None:
        """Put one entry, and all below it, into the directory ``fd`` as ``name``."""
        known = present(name, fd, below)
        relative = f"{path}/{name}" if path else name
        if stat.S_ISDIR(entry.status.st_mode):
            if known is not None and not known.is_directory:
                raise BuildError(f'cannot copy the directory "{relative}" over a file')
            self._directory(entry, source, name, fd, below, relative)
            return
        if known is not None:
            if known.is_directory:
                raise BuildError(f'cannot copy the file "{relative}" over a directory')
            remove(name, fd)
        if stat.S_ISREG(entry.status.st_mode):
            self._file(entry, source, name, fd, relative)
        elif stat.S_ISLNK(entry.status.st_mode):
            os.symlink(entry.link, name, dir_fd=fd)
            self._finish_name(entry, name, fd)
        elif stat.S_ISFIFO(entry.status.st_mode):
            os.mkfifo(name, 0o600, dir_fd=fd)
            self._finish_name(entry, name, fd)
        elif not stat.S_ISSOCK(entry.status.st_mode):
            kind = stat.S_IFMT(entry.status.st_mode)
            os.mknod(name, kind | 0o600, entry.status.st_rdev, dir_fd=fd)
            self._finish_name(entry, name, fd)

    def _directory(
        self,
        entry: Entry,
        source: Directory,
        name: str,
        fd: int,
        below: Directory | None,
        path: str,
    ) -> None:
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=fd)
        item = below.child(name) if below is not None else None
        under = below.enter(item) if below is not None and item and item.is_directory else None
        inner = os.open(name, _DIRECTORY, dir_fd=fd)
        try:
            with source.enter(Item(entry.name, entry.status, entry.layer)) as directory:
                self.children(entry, directory, inner, under, path)
            self._finish_directory(entry, inner)
        finally:
            os.close(inner)

    def _finish_directory(self, entry: Entry, fd: int) -> None:
        """Give a directory the source's owner, mode and time."""
        status = entry.status
        set_metadata(fd, *self.rules.owner_of(status), self.rules.mode_of(status.st_mode))
        time = self.rules.time_of(status.st_mtime_ns)
        os.utime(fd, ns=(time, time))

    def _finish_name(self, entry: Entry, name: str, fd: int) -> None:
        status = entry.status
        uid, gid = self.rules.owner_of(status)
        os.chown(name, uid, gid, dir_fd=fd, follow_symlinks=False)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(name, self.rules.mode_of(status.st_mode), dir_fd=fd)
        time = self.rules.time_of(status.st_mtime_ns)
        os.utime(name, ns=(time, time), dir_fd=fd, follow_symlinks=False)

    def _file(self, entry: Entry, source: Directory, name: str, fd: int, path: str) -> None:
        status = entry.status
        inode = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and inode in self.links:
            os.link(self.links[inode], name, src_dir_fd=self.root, dst_dir_fd=fd)
            return
        reading = source.open(Item(entry.name, status, entry.layer))
        try:
            writing = os.open(name, _CREATE, 0o600, dir_fd=fd)
            try:
                copy_content(reading, writing, status.st_size)
                _check_unchanged(reading, status, path)
                uid, gid = self.rules.owner_of(status)
                set_metadata(writing, uid, gid, self.rules.mode_of(status.st_mode))
                if entry.capability:
                    os.setxattr(writing, CAPABILITY, entry.capability)
                time = self.rules.time_of(status.st_mtime_ns)
                os.utime(writing, ns=(time, time))
            finally:
                os.close(writing)
        finally:
            os.close(reading)
        if status.st_nlink > 1:
            self.links[inode] = path


def _check_unchanged(fd: int, status: os.stat_result, path: str) -> None:
    now = os.fstat(fd)
    if (now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns) != (
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    ):
        raise BuildError(f'cannot copy "{path}": it changed while it was read', hint="build again")


def copy_content(reading: int, writing: int, size: int) -> None:
    """Copy a file's bytes; large ones stay in the kernel, and share blocks where that is had."""
    if size >= _RANGE_MIN:
        try:
            while os.copy_file_range(reading, writing, 1 << 30):
                pass
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
        else:
            return
    while chunk := os.read(reading, _CHUNK):
        write_all(writing, chunk)
        if len(chunk) == size:
            return  # who changed it meanwhile is found out by how it looks
