"""The merged view of an image's layers, read without mounting them.

Every step of a path is one open of one component with O_NOFOLLOW on held descriptors; symlinks are
read and resolved here, against the image's root. So nothing in an image leads out of it. Whiteouts
(char 0:0) and opaque directories are overlayfs's (kernel: filesystems/overlayfs.rst).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from orchestra.values import dataclass

_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")
_SYMLINKS_MAX = 40
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory of the merged view: the open directories of the layers, uppermost first."""

    fds: tuple[int, ...]

    @property
    def top(self) -> int:
        """Return the directory whose owner, mode and attributes count."""
        return self.fds[0]

    def names(self) -> list[str]:
        """Return what is in it, sorted; what an upper layer deleted is left out."""
        seen: dict[str, bool] = {}
        for fd in self.fds:
            with os.scandir(fd) as entries:
                for entry in entries:
                    if entry.name not in seen:
                        hidden = _is_whiteout(entry.stat(follow_symlinks=False))
                        seen[entry.name] = not hidden
        return sorted(name for name, visible in seen.items() if visible)

    def find(self, name: str) -> tuple[int, os.stat_result] | None:
        """Return the layer's directory that shows a name, and what it is there."""
        for fd in self.fds:
            try:
                status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            except (FileNotFoundError, NotADirectoryError):
                continue
            return None if _is_whiteout(status) else (fd, status)
        return None

    @contextmanager
    def enter(self, name: str) -> Iterator[Directory]:
        """Open a directory below this one.

        :raises NotADirectoryError: when it is none, or not there.
        """
        with ExitStack() as stack:
            yield open_below(self, name, stack)


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(fd: int) -> bool:
    for name in _OPAQUE:
        with suppress(OSError):
            if os.getxattr(fd, name) == b"y":
                return True
    return False


def open_below(directory: Directory, name: str, stack: ExitStack) -> Directory:
    """Open a directory below another; its descriptors are closed with the stack.

    :raises NotADirectoryError: when it is none, or not there.
    """
    fds: list[int] = []
    for layer in directory.fds:
        try:
            status = os.stat(name, dir_fd=layer, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not stat.S_ISDIR(status.st_mode):
            break
        fd = os.open(name, _DIRECTORY, dir_fd=layer)
        stack.callback(os.close, fd)
        fds.append(fd)
        if _is_opaque(fd):
            break
    if not fds:
        raise NotADirectoryError(name)
    return Directory(tuple(fds))


def open_root(layers: Sequence[str], stack: ExitStack) -> Directory:
    """Open the root of an image; ``layers`` are directories, uppermost first."""
    fds = []
    for layer in layers:
        fds.append(os.open(layer, _DIRECTORY))
        stack.callback(os.close, fds[-1])
    return Directory(tuple(fds))


def resolve(root: Directory, path: str, stack: ExitStack) -> Directory | None:
    """Walk to a directory, following symlinks inside the image; None when it is not there.

    :raises OSError: ELOOP-like, when there are more than forty symlinks.
    """
    walked = [root]
    todo = [part for part in reversed(path.split("/")) if part not in {"", "."}]
    links = 0
    while todo:
        part = todo.pop()
        if part == "..":
            walked = walked[:-1] or [root]
            continue
        found = walked[-1].find(part)
        if found is None:
            return None
        layer, status = found
        if stat.S_ISLNK(status.st_mode):
            links += 1
            if links > _SYMLINKS_MAX:
                raise OSError(f"too many symlinks in {path!r}")
            target = os.readlink(part, dir_fd=layer)
            todo += [p for p in reversed(target.split("/")) if p not in {"", "."}]
            walked = [root] if target.startswith("/") else walked
        elif stat.S_ISDIR(status.st_mode):
            walked = [*walked, open_below(walked[-1], part, stack)]
        else:
            return None
    return walked[-1]
