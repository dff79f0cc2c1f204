"""Paths inside a container's root: every walk stays in it, on held descriptors.

openat2(RESOLVE_IN_ROOT) takes symlinks as a process inside would, and refuses the magic links of
procfs, so nothing that an image or a shared volume holds can lead out (CVE-2021-30465).
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator

from orchestra.engine.linux import filesystems, syscalls
from orchestra.engine.linux.flags import FsMagic, Resolve
from orchestra.engine.runtime.failure import RuntimeFailure

_DONE_MAX = 128
_IN_ROOT = int(Resolve.IN_ROOT | Resolve.NO_MAGICLINKS)
_IN_ROOT_NO_LINKS = int(_IN_ROOT | Resolve.NO_SYMLINKS)


class Root:
    """A container's root directory, held open. Paths are absolute or relative: the same."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._done: list[int] = []

    def done(self, fd: int) -> None:
        """Close a descriptor, though not at once: many together are one system call."""
        self._done.append(fd)
        if len(self._done) >= _DONE_MAX:
            self.close_done()

    def close_done(self) -> None:
        """Close what was done with."""
        fds, self._done = sorted(self._done), []
        while fds:
            first = last = fds.pop(0)
            while fds and fds[0] == last + 1:
                last = fds.pop(0)
            syscalls.close_range(first, last)

    @contextlib.contextmanager
    def opened(
        self, path: str, flags: int = os.O_PATH, *, links: bool = True, mode: int = 0
    ) -> Iterator[int]:
        """Open a path inside for the time of a ``with``; ``links=False`` refuses every symlink.

        :raises OSError: ENOENT, ELOOP for a refused link, and open's others.
        """
        fd = self.open(path, flags, links=links, mode=mode)
        try:
            yield fd
        finally:
            self.done(fd)

    def open(self, path: str, flags: int = os.O_PATH, *, links: bool = True, mode: int = 0) -> int:
        """Open a path inside and return the descriptor. As ``opened``."""
        resolve = _IN_ROOT if links else _IN_ROOT_NO_LINKS
        return syscalls.openat2(self.fd, path, flags, mode=mode, resolve=resolve)

    def exists(self, path: str) -> bool:
        """Tell whether a path inside leads to something."""
        try:
            with self.opened(path):
                return True
        except (FileNotFoundError, NotADirectoryError):
            return False

    def directory(self, path: str, mode: int = 0o755, *, links: bool = True) -> int:
        """Open a directory inside, made with its parents where missing.

        :raises OSError: EEXIST where a dangling link or a file is in the way, EROFS.
        """
        flags = os.O_PATH | os.O_DIRECTORY
        try:
            return self.open(path, flags, links=links)
        except FileNotFoundError:
            pass
        walked = ""
        for name in _components(path):
            parent = self.open(walked or ".", flags, links=links)
            try:
                walked = f"{walked}/{name}"
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, mode, dir_fd=parent)
            finally:
                self.done(parent)
        return self.open(path, flags, links=links)

    def file(self, path: str) -> int:
        """Open a file inside as O_PATH, made empty where missing; anything but a directory serves.

        :raises OSError: EISDIR for a directory, EEXIST for a dangling link in the way.
        """
        try:
            fd = self.open(path)
        except FileNotFoundError:
            parent, name = self.parent(path)
            try:
                flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                self.done(os.open(name, flags, 0o644, dir_fd=parent))
            finally:
                self.done(parent)
            fd = self.open(path)
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.close(fd)
            raise IsADirectoryError(21, "is a directory", path)
        return fd

    def parent(self, path: str) -> tuple[int, str]:
        """Return the open parent directory (made where missing) and the last name of a path.

        :raises RuntimeFailure: for a path without a last name.
        """
        names = _components(path)
        if not names:
            raise RuntimeFailure(f'"{path}" is no path of a file')
        return self.directory("/".join(names[:-1]) or "."), names[-1]

    def read(self, path: str, limit: int = 1024 * 1024) -> bytes:
        """Return a regular file's content; b"" where it is missing or something else.

        A fifo or device in its place is not waited for.
        """
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY
        try:
            with self.opened(path, flags) as fd:
                regular = stat.S_ISREG(os.fstat(fd).st_mode)
                return os.read(fd, limit) if regular else b""
        except OSError:
            return b""


def _components(path: str) -> list[str]:
    """Return the names of a path; ``..`` is refused where something has to be made."""
    names = [name for name in path.split("/") if name not in {"", "."}]
    if ".." in names:
        raise RuntimeFailure(f'"{path}" must not contain ".."')
    return names


def is_on(fd: int, *kinds: FsMagic) -> bool:
    """Tell whether a descriptor lies on one of these file systems."""
    return filesystems.filesystem_type(fd) in kinds
