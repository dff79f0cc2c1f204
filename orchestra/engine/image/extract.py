"""Write the members of a layer's archive below one directory, and never outside it.

Every parent is resolved by openat2(2) inside the root and held open; the last component is made
afresh (O_EXCL, O_NOFOLLOW) or replaced. Whiteouts become what overlayfs reads: a character
device 0:0, or the opaque mark on a directory. Blocking: belongs in a worker thread.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from orchestra.engine.image.flavour import WHITEOUT, Flavour
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
from orchestra.engine.linux.flags import Resolve
from orchestra.engine.linux.pipes import write_all
from orchestra.engine.linux.syscalls import openat2
from orchestra.engine.snapshot.removal import remove_tree
from orchestra.errors import ImageError

T = TypeVar("T")
_OPAQUE = ".wh..wh..opq"
_RESERVED = ".wh..wh."
_IN_ROOT = Resolve.IN_ROOT | Resolve.NO_MAGICLINKS
_OPEN_PARENTS = 128
_LINKS_MAX = 40
_ID_MAX = (1 << 32) - 2
_TIME_MAX_NS = (1 << 34) * 1_000_000_000
_XATTRS = ("user.", "security.capability", "system.posix_acl_")
_NO_XATTRS = ("user.overlay.", "user.fuseoverlayfs.")


class Extractor:
    """One layer's directory being filled. Close it, so that the directories' times are set."""

    def __init__(self, directory: str, flavour: Flavour) -> None:
        self._root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._flavour = flavour
        self._parents: OrderedDict[str, int] = OrderedDict()
        self._times: dict[str, int] = {}
        self._implied: dict[str, None] = {".": None}
        self._stale = False

    def __enter__(self) -> Extractor:
        return self

    def __exit__(self, *_: object) -> None:
        self._forget_parents()
        os.close(self._root)

    @property
    def implied(self) -> tuple[str, ...]:
        """Return the directories that had to be made though no member names them, parents first.

        Their owner, mode and times are those of the same directories in the layers below.
        """
        return tuple(self._implied)

    def apply(self, member: Member, content: Iterator[memoryview]) -> None:
        """Make one member.

        :raises ImageError: when it would leave the root, or is of a kind that no image may have.
        """
        if self._stale:
            self._forget_parents()
        try:
            parts = _components(member.name)
            if not parts:
                self._root_attributes(member)
                return
            parent, name = "/".join(parts[:-1]), parts[-1]
            if name.startswith(WHITEOUT):
                self._whiteout(parent, name)
            else:
                self._make(member, parent, name, content)
        except OSError as err:
            raise _refused(member, err.strerror or str(err)) from err

    def finish(self) -> None:
        """Set the times of directories, which their content has changed meanwhile."""
        for path, mtime_ns in reversed(self._times.items()):
            with suppress(FileNotFoundError, NotADirectoryError):
                fd = openat2(self._root, path, os.O_RDONLY | os.O_DIRECTORY, resolve=_IN_ROOT)
                try:
                    os.utime(fd, ns=(mtime_ns, mtime_ns))
                finally:
                    os.close(fd)

    def _make(self, member: Member, parent: str, name: str, content: Iterator[memoryview]) -> None:
        directory = self._parent(parent)
        path = f"{parent}/{name}" if parent else name
        if member.kind == REGULAR:
            self._file(member, directory, name, content)
        elif member.kind == DIRECTORY:
            self._directory(member, directory, name)
            self._implied.pop(path, None)
            self._times.pop(path, None)
            self._times[path] = _time(member)
        elif member.kind == SYMLINK:
            self._replacing(
                directory, name, lambda: os.symlink(member.link, name, dir_fd=directory)
            )
            self._own(member, directory, name)
        elif member.kind == HARD_LINK:
            self._hard_link(member, directory, name)
        elif member.kind in {CHARACTER, BLOCK_DEVICE, FIFO}:
            self._node(member, directory, name)
        else:
            raise _refused(member, f"a member of kind {member.kind!r}")

    def _file(
        self, member: Member, directory: int, name: str, content: Iterator[memoryview]
    ) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = self._replacing(directory, name, lambda: os.open(name, flags, 0o600, dir_fd=directory))
        try:
            for piece in content:
                write_all(fd, piece)
            self._attributes(member, fd)
            os.utime(fd, ns=(_time(member), _time(member)))
        finally:
            os.close(fd)

    def _directory(self, member: Member, directory: int, name: str) -> None:
        hidden = False
        try:
            os.mkdir(name, 0o700, dir_fd=directory)
        except FileExistsError:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                hidden = _is_whiteout(status)
                self._remove(directory, name, status)
                os.mkdir(name, 0o700, dir_fd=directory)
        fd = os.open(
            name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory
        )
        try:
            self._attributes(member, fd)
            if hidden:
                os.setxattr(fd, self._flavour.opaque_xattr, b"y")
        finally:
            os.close(fd)

    def _hard_link(self, member: Member, directory: int, name: str) -> None:
        parts = _components(member.link)
        if not parts:
            raise _refused(member, "a link to the root")
        source = openat2(
            self._root, "/".join(parts[:-1]) or ".", os.O_PATH | os.O_DIRECTORY, resolve=_IN_ROOT
        )
        try:
            target = os.stat(parts[-1], dir_fd=source, follow_symlinks=False)
            if stat.S_ISDIR(target.st_mode) or _is_whiteout(target):
                raise _refused(member, "a hard link to a directory or a whiteout")
            with suppress(FileNotFoundError):
                own = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if os.path.samestat(own, target):
                    return
            self._replacing(
                directory,
                name,
                lambda: os.link(
                    parts[-1],
                    name,
                    src_dir_fd=source,
                    dst_dir_fd=directory,
                    follow_symlinks=False,
                ),
            )
        finally:
            os.close(source)

    def _node(self, member: Member, directory: int, name: str) -> None:
        """Make a device or a fifo; 0:0 is overlayfs' own mark and comes from whiteouts only."""
        if member.kind != FIFO and member.device == (0, 0):
            raise _refused(member, "a device 0:0")
        kinds = {CHARACTER: stat.S_IFCHR, BLOCK_DEVICE: stat.S_IFBLK, FIFO: stat.S_IFIFO}
        mode, device = kinds[member.kind] | 0o600, os.makedev(*_device_numbers(member))
        try:
            self._replacing(directory, name, lambda: os.mknod(name, mode, device, dir_fd=directory))
        except PermissionError:
            if self._flavour.privileged:
                raise
            return  # rootless: the kernel makes no devices, and containers get theirs bound
        self._own(member, directory, name)
        Path(f"/proc/self/fd/{directory}/{name}").chmod(member.mode)

    def _whiteout(self, parent: str, name: str) -> None:
        """Hide what the layers below have: a whole directory's content, or one name."""
        if name == _OPAQUE:
            fd = openat2(self._parent(parent), ".", os.O_RDONLY | os.O_DIRECTORY, resolve=_IN_ROOT)
            try:
                os.setxattr(fd, self._flavour.opaque_xattr, b"y")
            finally:
                os.close(fd)
            return
        if name.startswith(_RESERVED):
            return  # aufs' own book-keeping, no part of the image
        hidden = name.removeprefix(WHITEOUT)
        if hidden in {"", ".", ".."}:
            raise ImageError(f'cannot unpack a layer: "{name}" hides nothing that has a name')
        directory = self._parent(parent)
        try:
            os.mknod(hidden, stat.S_IFCHR, os.makedev(0, 0), dir_fd=directory)
        except FileExistsError:
            status = os.stat(hidden, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                self._whiteout(f"{parent}/{hidden}" if parent else hidden, _OPAQUE)

    def _replacing(self, directory: int, name: str, make: Callable[[], T]) -> T:
        try:
            return make()
        except FileExistsError:
            self._remove(directory, name, os.stat(name, dir_fd=directory, follow_symlinks=False))
            return make()

    def _remove(self, directory: int, name: str, status: os.stat_result) -> None:
        """Remove what an earlier member of the same name made; paths through it lead elsewhere."""
        if stat.S_ISDIR(status.st_mode):
            remove_tree(name, dir_fd=directory)
        else:
            os.unlink(name, dir_fd=directory)
        self._stale = self._stale or not stat.S_ISREG(status.st_mode)

    def _root_attributes(self, member: Member) -> None:
        if member.kind == DIRECTORY:
            self._attributes(member, self._root)
            self._times["."] = _time(member)
            self._implied.pop(".", None)

    def _attributes(self, member: Member, fd: int) -> None:
        """Set owner, then mode (a change of owner clears setuid), then extended attributes."""
        uid, gid = _owner(member)
        if self._flavour.privileged or (uid, gid) != (0, 0):
            os.fchown(fd, uid, gid)
        os.fchmod(fd, member.mode)
        for name, value in member.xattrs.items():
            if name.startswith(_XATTRS) and not name.startswith(_NO_XATTRS):
                self._set_xattr(fd, name, value)

    def _set_xattr(self, fd: int, name: str, value: bytes) -> None:
        try:
            os.setxattr(fd, name, value)
        except OSError as err:
            tolerated = {errno.ENOTSUP} | (
                set() if self._flavour.privileged else {errno.EPERM, errno.EINVAL}
            )
            if err.errno not in tolerated:
                raise

    def _own(self, member: Member, directory: int, name: str) -> None:
        os.chown(name, *_owner(member), dir_fd=directory, follow_symlinks=False)
        time = _time(member)
        os.utime(name, ns=(time, time), dir_fd=directory, follow_symlinks=False)

    def _parent(self, path: str) -> int:
        """Return a descriptor of a directory, made where missing; the cache owns it."""
        if not path:
            return self._root
        fd = self._parents.get(path)
        if fd is not None:
            self._parents.move_to_end(path)
            return fd
        try:
            fd = openat2(self._root, path, os.O_PATH | os.O_DIRECTORY, resolve=_IN_ROOT)
        except (FileNotFoundError, NotADirectoryError):
            self._make_directories(path)
            if path in self._parents:  # making it opaque has opened it
                return self._parents[path]
            fd = openat2(self._root, path, os.O_PATH | os.O_DIRECTORY, resolve=_IN_ROOT)
        self._parents[path] = fd
        if len(self._parents) > _OPEN_PARENTS:
            os.close(self._parents.popitem(last=False)[1])
        return fd

    def _forget_parents(self) -> None:
        for fd in self._parents.values():
            os.close(fd)
        self._parents.clear()
        self._stale = False

    def _make_directories(self, path: str) -> None:
        """Make what is missing of a path; a symbolic link on the way counts from the root."""
        pending, real, links = path.split("/")[::-1], list[str](), 0
        while pending:
            name = pending.pop()
            if name in {"", "."}:
                continue
            if name == "..":
                real = real[:-1]
                continue
            where = "/".join(real) or "."
            directory = openat2(self._root, where, os.O_PATH | os.O_DIRECTORY, resolve=_IN_ROOT)
            try:
                link = self._make_one(directory, name, "/".join([*real, name]))
            finally:
                os.close(directory)
            if link is None:
                real.append(name)
                continue
            links += 1
            if links > _LINKS_MAX:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            real = [] if link.startswith("/") else real
            pending += link.split("/")[::-1]

    def _make_one(self, directory: int, name: str, path: str) -> str | None:
        """Make one missing directory; return a link's target where there is a link."""
        try:
            os.mkdir(name, 0o755, dir_fd=directory)
        except FileExistsError:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                return os.readlink(name, dir_fd=directory)
            if _is_whiteout(status):
                self._remove(directory, name, status)
                os.mkdir(name, 0o755, dir_fd=directory)
                self._implied[path] = None
                self._whiteout(path, _OPAQUE)
            elif not stat.S_ISDIR(status.st_mode):
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
        else:
            self._implied[path] = None
        return None


def _components(path: str) -> list[str]:
    """Split a member's path; a leading slash counts from the layer's root.

    :raises ImageError: when it climbs.
    """
    parts = [part for part in path.split("/") if part not in {"", "."}]
    if ".." in parts:
        raise ImageError(f'cannot unpack a layer: "{path[:200]}" leaves the layer by ".."')
    return parts


def _refused(member: Member, why: str) -> ImageError:
    return ImageError(f'cannot unpack a layer: "{member.name[:200]}": {why}')


def _is_whiteout(status: os.stat_result) -> bool:
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _owner(member: Member) -> tuple[int, int]:
    if not (0 <= member.uid <= _ID_MAX and 0 <= member.gid <= _ID_MAX):
        raise _refused(member, "an owner out of range")
    return member.uid, member.gid


def _device_numbers(member: Member) -> tuple[int, int]:
    major, minor = member.device
    if not (0 <= major < 1 << 12 and 0 <= minor < 1 << 20):
        raise _refused(member, "a device number out of range")
    return major, minor


def _time(member: Member) -> int:
    return max(-_TIME_MAX_NS, min(member.mtime_ns, _TIME_MAX_NS))
