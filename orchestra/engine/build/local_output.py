"""A result's files in a directory of this machine: what ``--output type=local`` gives.

What is there already stays beside what comes; a name that comes replaces what had it, whatever that
was. Written by descriptors opened component by component and never through a link, each file beside
its name and renamed. Everything belongs to the caller. The set-uid bit of a file of somebody else
would then be the caller's own, so it is dropped; devices are left out. Blocking.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from orchestra.engine.build.tar_output import (
    DEPTH_MAX,
    PIECE_BYTES,
    Found,
    opened,
    xattrs_of,
)
from orchestra.engine.build.tree import Directory, Tree
from orchestra.engine.linux.pipes import write_all
from orchestra.errors import BuildError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FIFO = os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC


def place_files(
    tree: Tree, destination: str, epoch: int | None, warn: Callable[[str], None]
) -> None:
    """Put a tree's files into a directory, which is made where it is missing.

    :raises BuildError: when something cannot be read or written.
    """
    try:
        Path(destination).mkdir(mode=0o755, parents=True, exist_ok=True)
        root = os.open(destination, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _refused(destination, error) from error
    try:
        placing = _Placing(root, epoch, warn)
        if tree.layers:
            with tree.root() as top:
                placing.fill(top, root, "", 0)
    except OSError as error:
        raise _refused(destination, error) from error
    finally:
        os.close(root)


def _refused(destination: str, error: OSError) -> BuildError:
    return BuildError(f'cannot write to "{destination}": {error.strerror}')


class _Placing:
    def __init__(self, root: int, epoch: int | None, warn: Callable[[str], None]) -> None:
        self._root = root
        self._epoch_ns = None if epoch is None else epoch * 10**9
        self._warn = warn
        self._owner = (os.geteuid(), os.getegid())
        self._links: dict[tuple[int, int], str] = {}

    def fill(self, source: Directory, fd: int, prefix: str, depth: int) -> None:
        """Put what is in a directory of the result into an open one."""
        if depth > DEPTH_MAX:
            raise BuildError(
                f'cannot write "{prefix[:200]}": more than {DEPTH_MAX} directories deep'
            )
        for item in source.entries():
            path = prefix + item.name
            if not item.is_directory:
                self._put(Found(path, item, source), fd)
                continue
            inner = _directory(item.name, fd)
            try:
                with source.enter(item) as below:
                    self.fill(below, inner, f"{path}/", depth + 1)
                    self._finish(inner, item.stat, xattrs_of(below.fds[0]))
            finally:
                os.close(inner)

    def _put(self, found: Found, fd: int) -> None:
        """Put anything but a directory in its place."""
        mode = found.item.stat.st_mode
        if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
            kind = "socket" if stat.S_ISSOCK(mode) else "device"
            self._warn(f'"/{found.path}" is left out: it is a {kind}')
            return
        temporary = f".orchestra-{secrets.token_hex(8)}"
        try:
            if not self._linked(found, temporary, fd):
                self._make(found, temporary, fd)
            _rename(temporary, found.item.name, fd)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=fd)

    def _linked(self, found: Found, temporary: str, fd: int) -> bool:
        """Link to the same file where it has been put under another name."""
        if found.inode is None:
            return False
        first = self._links.setdefault(found.inode, found.path)
        if first == found.path:
            return False
        with self._parent(first) as (parent, name):
            os.link(name, temporary, src_dir_fd=parent, dst_dir_fd=fd, follow_symlinks=False)
        return True

    @contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        *directories, name = path.split("/")
        fd = os.dup(self._root)
        try:
            for directory in directories:
                inner = os.open(directory, _DIRECTORY, dir_fd=fd)
                os.close(fd)
                fd = inner
            yield fd, name
        finally:
            os.close(fd)

    def _make(self, found: Found, temporary: str, fd: int) -> None:
        status = found.item.stat
        if stat.S_ISLNK(status.st_mode):
            os.symlink(found.directory.readlink(found.item), temporary, dir_fd=fd)
            os.chown(temporary, *self._owner, dir_fd=fd, follow_symlinks=False)
            os.utime(temporary, ns=self._times(status), dir_fd=fd, follow_symlinks=False)
            return
        if stat.S_ISFIFO(status.st_mode):
            os.mkfifo(temporary, 0o600, dir_fd=fd)
            made = os.open(temporary, _FIFO, dir_fd=fd)
        else:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            made = os.open(temporary, flags, 0o600, dir_fd=fd)
        try:
            xattrs: dict[str, bytes] = {}
            if found.item.is_file:
                with opened(found) as source:
                    xattrs = xattrs_of(source)
                    while piece := os.read(source, PIECE_BYTES):
                        write_all(made, piece)
            self._finish(made, status, xattrs)
        finally:
            os.close(made)

    def _times(self, status: os.stat_result) -> tuple[int, int]:
        time = status.st_mtime_ns if self._epoch_ns is None else self._epoch_ns
        return time, time

    def _finish(self, fd: int, status: os.stat_result, xattrs: dict[str, bytes]) -> None:
        mode = stat.S_IMODE(status.st_mode)
        uid, gid = self._owner
        if status.st_uid != uid:
            mode &= ~stat.S_ISUID
        if status.st_gid != gid and not stat.S_ISDIR(status.st_mode):
            mode &= ~stat.S_ISGID
        os.fchown(fd, uid, gid)
        os.fchmod(fd, mode)
        for name, value in xattrs.items():
            with suppress(OSError):  # a file system without them, as BuildKit has it
                os.setxattr(fd, name, value)
        os.utime(fd, ns=self._times(status))


def _directory(name: str, fd: int) -> int:
    """Open a directory, made where it is missing; anything else of that name goes."""
    try:
        return os.open(name, _DIRECTORY, dir_fd=fd)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        os.unlink(name, dir_fd=fd)
    os.mkdir(name, 0o700, dir_fd=fd)
    return os.open(name, _DIRECTORY, dir_fd=fd)


def _rename(temporary: str, name: str, fd: int) -> None:
    try:
        os.rename(temporary, name, src_dir_fd=fd, dst_dir_fd=fd)
    except (IsADirectoryError, FileExistsError):
        shutil.rmtree(name, dir_fd=fd)
        os.rename(temporary, name, src_dir_fd=fd, dst_dir_fd=fd)
