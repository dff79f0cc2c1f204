"""Write archive members below a directory that somebody else may be changing meanwhile.

Each member's parent is resolved inside the root, each last name is made afresh (O_EXCL,
O_NOFOLLOW): no link, whoever put it there and when, leads a write out (CVE-2018-15664). A
directory never takes the place of a file, nor a file that of a directory. Blocking.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress

from orchestra.engine.container.trees import Entry, give_way
from orchestra.engine.image.tar import (
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    FIFO,
    HARD_LINK,
    REGULAR,
    SYMLINK,
    Member,
)
from orchestra.engine.linux.pipes import write_all
from orchestra.engine.linux.syscalls import openat2
from orchestra.errors import ContainerError
from orchestra.values import dataclass, field

Owner = Callable[[Member], tuple[int, int]]
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NODES = {CHARACTER: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK, FIFO: stat.S_IFIFO}
_SET_IDS = stat.S_ISUID | stat.S_ISGID
_XATTRS = ("user.", "security.capability")


@dataclass(slots=True, kw_only=True)
class Unpacker:
    """Unpacks below ``base``, a path below the descriptor ``root``; ``resolve`` as openat2(2).

    ``tame``: a container made what comes, and it is for this machine. Devices are refused, and
    without ``set_ids`` no file runs as its owner: both would give rights here to the container.
    """

    root: int
    base: str
    resolve: int
    owner: Owner
    tame: bool = False
    set_ids: bool = True
    _times: dict[str, int] = field(default_factory=dict)

    def apply(self, entry: Entry) -> None:
        """Make one member.

        :raises ContainerError: when it is refused, or the file system refuses it.
        """
        give_way()
        member, content = entry
        parts = _components(member.name)
        if not parts:
            return  # the base itself stays as it is
        try:
            parent = self._parent(parts[:-1])
            try:
                self._make(member, content, parent, parts)
            finally:
                os.close(parent)
        except OSError as err:
            raise ContainerError(
                f'cannot copy to "{self._path(parts)}": {(err.strerror or str(err)).lower()}'
            ) from err

    def finish(self) -> None:
        """Set the times of directories, which their content has changed meanwhile."""
        for path, mtime_ns in reversed(self._times.items()):
            with suppress(OSError):
                fd = openat2(self.root, path, os.O_RDONLY | os.O_DIRECTORY, resolve=self.resolve)
                try:
                    os.utime(fd, ns=(mtime_ns, mtime_ns))
                finally:
                    os.close(fd)

    def _path(self, parts: list[str]) -> str:
        return "/".join([self.base, *parts])

    def _parent(self, parts: list[str]) -> int:
        """Open a directory below the base, made where missing."""
        flags = os.O_PATH | os.O_DIRECTORY
        try:
            return openat2(self.root, self._path(parts), flags, resolve=self.resolve)
        except FileNotFoundError:
            if not parts:
                raise
        above = self._parent(parts[:-1])
        try:
            with suppress(FileExistsError):
                os.mkdir(parts[-1], 0o755, dir_fd=above)
        finally:
            os.close(above)
        return openat2(self.root, self._path(parts), flags, resolve=self.resolve)

    def _make(
        self,
        member: Member,
        content: Iterator[bytes | memoryview],
        parent: int,
        parts: list[str],
    ) -> None:
        name = parts[-1]
        present = _clear(member, parent, name)
        if member.kind == DIRECTORY:
            if not present:
                os.mkdir(name, 0o700, dir_fd=parent)
            self._looks(member, name, parent, _DIRECTORY)
            self._times[self._path(parts)] = member.mtime_ns
        elif member.kind == REGULAR:
            fd = os.open(name, _NEW, 0o600, dir_fd=parent)
            try:
                for piece in content:
                    give_way()
                    write_all(fd, piece)
                self._set_looks(member, fd)
                os.utime(fd, ns=(member.mtime_ns, member.mtime_ns))
            finally:
                os.close(fd)
        elif member.kind == HARD_LINK:
            self._link(member, name, parent)
        elif member.kind == SYMLINK:
            os.symlink(member.link, name, dir_fd=parent)
            self._own(member, name, parent)
        elif self.tame and member.kind in {CHARACTER, BLOCK_DEVICE}:
            raise OSError(errno.EPERM, "devices are not brought out of containers")
        elif member.kind in _NODES:
            device = os.makedev(*member.device)
            os.mknod(name, _NODES[member.kind] | 0o600, device, dir_fd=parent)
            self._own(member, name, parent)
            self._mode_of_node(member, name, parent)
        else:
            raise OSError(errno.EINVAL, f"a member of kind {member.kind!r}")

    def _link(self, member: Member, name: str, parent: int) -> None:
        parts = _components(member.link)
        if not parts:
            raise OSError(errno.EPERM, "a hard link to a directory")
        source = self._parent(parts[:-1])
        try:
            if stat.S_ISDIR(os.lstat(parts[-1], dir_fd=source).st_mode):
                raise OSError(errno.EPERM, "a hard link to a directory")
            os.link(parts[-1], name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
        finally:
            os.close(source)

    def _looks(self, member: Member, name: str, parent: int, flags: int) -> None:
        fd = os.open(name, flags, dir_fd=parent)
        try:
            self._set_looks(member, fd)
        finally:
            os.close(fd)

    def _set_looks(self, member: Member, fd: int) -> None:
        """Set owner, then mode (a change of owner clears setuid), then extended attributes."""
        os.fchown(fd, *self.owner(member))
        os.fchmod(fd, member.mode if self.set_ids else member.mode & ~_SET_IDS)
        for name, value in member.xattrs.items():
            if name.startswith(_XATTRS) and (self.set_ids or name != "security.capability"):
                with suppress(OSError):  # not every file system has them
                    os.setxattr(fd, name, value)

    def _own(self, member: Member, name: str, parent: int) -> None:
        times = (member.mtime_ns, member.mtime_ns)
        os.chown(name, *self.owner(member), dir_fd=parent, follow_symlinks=False)
        os.utime(name, ns=times, dir_fd=parent, follow_symlinks=False)

    def _mode_of_node(self, member: Member, name: str, parent: int) -> None:
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            if stat.S_IFMT(os.fstat(fd).st_mode) == _NODES[member.kind]:
                os.chmod(f"/proc/self/fd/{fd}", member.mode)  # noqa: PTH101 - by descriptor
        finally:
            os.close(fd)


def _components(path: str) -> list[str]:
    """Split a member's path; a leading slash counts from the base.

    :raises ContainerError: when it climbs.
    """
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise ContainerError(f'cannot unpack "{path[:200]}": it leaves the directory by ".."')
    return parts


def _clear(member: Member, parent: int, name: str) -> bool:
    """Remove what has the name, unless both are directories: then tell that it is there.

    :raises OSError: when only one of both is a directory.
    """
    try:
        status = os.lstat(name, dir_fd=parent)
    except FileNotFoundError:
        return False
    there, wanted = stat.S_ISDIR(status.st_mode), member.kind == DIRECTORY
    if there and wanted:
        return True
    if there:
        raise OSError(errno.EISDIR, "it is a directory, and what would take its place is none")
    if wanted:
        raise OSError(errno.ENOTDIR, "it is no directory, and what would take its place is one")
    os.unlink(name, dir_fd=parent)
    return False
