"""A file or a directory with all below it as a stream of archive members, read by descriptors.

Every step is one open of one name with O_NOFOLLOW, and what is read is what was looked at: a
symlink, a fifo or a device that takes a file's place meanwhile leads nowhere and holds nobody up.
Blocking.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

import anyio.from_thread

from orchestra.engine.container.userns import Shift
from orchestra.engine.image.tar import (
    BLOCK,
    BLOCK_DEVICE,
    CHARACTER,
    DIRECTORY,
    HARD_LINK,
    KINDS,
    REGULAR,
    SYMLINK,
    Member,
    encode_member,
)
from orchestra.engine.linux.filesystems import filesystem_type
from orchestra.engine.linux.flags import FsMagic
from orchestra.errors import ContainerError
from orchestra.values import dataclass, field

Entry = tuple[Member, Iterator[bytes | memoryview]]
"""A member and its content, which must be taken before the next one is asked for."""
Write = Callable[[bytes | memoryview], None]
_READ_BYTES = 1 << 20
_DEPTH_MAX = 256
_CAPABILITY = "security.capability"
_PSEUDO = frozenset({FsMagic.PROC, FsMagic.SYSFS, FsMagic.DEVPTS, FsMagic.CGROUP, FsMagic.CGROUP2})


def give_way() -> None:
    """End the work of this thread when whoever waits for it was cancelled."""
    with suppress(RuntimeError):  # nobody does
        anyio.from_thread.check_cancelled()


@dataclass(frozen=True, slots=True)
class Tree:
    """Something to be archived: an O_PATH descriptor of it, and the name it has in the archive.

    ``name`` "." for a directory whose content alone is meant. Directories that are among
    ``hollow`` (device, inode), and those of procfs and its like, come empty.
    """

    fd: int
    name: str
    hollow: frozenset[tuple[int, int]] = frozenset()
    shift: Shift = Shift()

    def entries(self) -> Iterator[Entry]:
        """Yield it and everything below it, directories before what is in them.

        :raises ContainerError: when a file shrinks meanwhile, or the tree is too deep.
        :raises OSError: when something cannot be read.
        """
        walk = _Walk(self.hollow, self.shift)
        yield from walk.item(self.fd, self.name, 0)


@dataclass(slots=True)
class _Walk:
    hollow: frozenset[tuple[int, int]]
    shift: Shift
    links: dict[tuple[int, int], str] = field(default_factory=dict)

    def item(self, fd: int, name: str, depth: int) -> Iterator[Entry]:
        give_way()
        status = os.fstat(fd)
        kind = KINDS.get(stat.S_IFMT(status.st_mode))
        if kind is None:
            return  # a socket: nothing that an archive could bring back to life
        member = _member(name, kind, status)
        member.uid, member.gid = self.shift.outward(member.uid, member.gid)
        if kind == DIRECTORY:
            yield member, iter(())
            yield from self._children(fd, member.name, status, depth)
            return
        identity = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and identity in self.links:
            member.kind, member.link, member.size = HARD_LINK, self.links[identity], 0
        elif kind == SYMLINK:
            member.link = os.readlink("", dir_fd=fd)
        elif kind == REGULAR:
            with _again(fd, os.O_RDONLY) as file:
                with suppress(OSError):
                    member.xattrs = {_CAPABILITY: os.getxattr(file, _CAPABILITY)}
                self.links[identity] = name
                yield member, _content(file, member)
            return
        yield member, iter(())

    def _children(
        self, fd: int, prefix: str, status: os.stat_result, depth: int
    ) -> Iterator[Entry]:
        if depth >= _DEPTH_MAX:
            raise ContainerError(
                f'cannot copy "{prefix[:200]}": more than {_DEPTH_MAX} directories deep'
            )
        if depth and (
            (status.st_dev, status.st_ino) in self.hollow or filesystem_type(fd) in _PSEUDO
        ):
            return
        with _again(fd, os.O_RDONLY | os.O_DIRECTORY) as directory:
            for name in sorted(set(os.listdir(directory))):  # noqa: PTH208 - by descriptor
                try:
                    child = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=directory)
                except FileNotFoundError:
                    continue
                try:
                    yield from self.item(child, f"{prefix}{name}", depth + 1)
                finally:
                    os.close(child)


def _member(name: str, kind: bytes, status: os.stat_result) -> Member:
    is_device = kind in {CHARACTER, BLOCK_DEVICE}
    return Member(
        name=f"{name}/" if kind == DIRECTORY else name,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size if kind == REGULAR else 0,
        mtime_ns=status.st_mtime_ns,
        device=(os.major(status.st_rdev), os.minor(status.st_rdev)) if is_device else (0, 0),
    )


@contextmanager
def _again(fd: int, flags: int) -> Iterator[int]:
    """Open for reading what an O_PATH descriptor is of, whatever has its name now."""
    opened = os.open(f"/proc/self/fd/{fd}", flags | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        yield opened
    finally:
        os.close(opened)


def _content(fd: int, member: Member) -> Iterator[bytes]:
    left = member.size
    while left:
        give_way()
        piece = os.read(fd, min(left, _READ_BYTES))
        if not piece:
            raise ContainerError(f'cannot copy "{member.name[:200]}": it shrank while being read')
        left -= len(piece)
        yield piece


def write_archive(entries: Iterable[Entry], write: Write) -> None:
    """Write entries as a tar archive."""
    for member, content in entries:
        write(encode_member(member))
        for piece in content:
            write(piece)
        if member.size % BLOCK:
            write(bytes(-member.size % BLOCK))
    write(bytes(2 * BLOCK))
