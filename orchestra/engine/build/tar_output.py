"""A result's files as a tar archive: what ``--output type=tar`` gives.

Owners, modes, hard links and extended attributes as they are in the image, sorted by name, the root
itself no member. With SOURCE_DATE_EPOCH every time is that one, as BuildKit has it. Blocking.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager

from orchestra.engine.build.tree import Directory, Item, Tree
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
from orchestra.errors import BuildError
from orchestra.values import dataclass

PIECE_BYTES = 1 << 20
DEPTH_MAX = 256
_XATTRS = ("user.", "security.capability")
_OVERLAY = "user.overlay."


@dataclass(frozen=True, slots=True)
class Found:
    """A name of a tree while its directory is open: path from the root, item, directory."""

    path: str
    item: Item
    directory: Directory

    @property
    def inode(self) -> tuple[int, int] | None:
        """Return what tells hard links to one file; None where there is but one."""
        status = self.item.stat
        return (status.st_dev, status.st_ino) if status.st_nlink > 1 else None


def found_in(tree: Tree, prefix: str = "") -> Generator[Found]:
    """Yield everything in a tree, sorted by name, directories before what is in them.

    :raises BuildError: when it is too deep.
    """
    if tree.layers:
        with tree.root() as root:
            yield from _below(root, prefix, 0)


def _below(directory: Directory, prefix: str, depth: int) -> Generator[Found]:
    if depth > DEPTH_MAX:
        raise BuildError(f'cannot give "{prefix[:200]}": more than {DEPTH_MAX} directories deep')
    for item in directory.entries():
        yield Found(prefix + item.name, item, directory)
        if item.is_directory:
            with directory.enter(item) as inner:
                yield from _below(inner, f"{prefix}{item.name}/", depth + 1)


def write_archive(
    trees: Sequence[tuple[str, Tree]], epoch: int | None, write: Callable[[bytes], object]
) -> None:
    """Write one archive of trees, each below its directory, "" being the root.

    :raises BuildError: when a file cannot be read.
    """
    try:
        for directory, tree in trees:
            prefix = f"{directory}/" if directory else ""
            links: dict[tuple[int, int], str] = {}
            if prefix:
                write(encode_member(Member(name=prefix, kind=DIRECTORY, mode=0o755)))
            with closing(found_in(tree, prefix)) as everything:
                for found in everything:
                    for piece in _member(found, epoch, links):
                        write(piece)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise BuildError(f"cannot give the result as an archive: {error.strerror}") from error
    write(bytes(2 * BLOCK))


def _member(found: Found, epoch: int | None, links: dict[tuple[int, int], str]) -> Iterator[bytes]:
    status = found.item.stat
    kind = KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        return  # a socket
    member = Member(
        name=f"{found.path}/" if kind == DIRECTORY else found.path,
        kind=kind,
        mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        mtime_ns=status.st_mtime_ns if epoch is None else epoch * 10**9,
    )
    if kind != DIRECTORY and found.inode is not None:
        first = links.setdefault(found.inode, found.path)
        if first != found.path:
            member.kind, member.link = HARD_LINK, first
            yield encode_member(member)
            return
    if kind == SYMLINK:
        member.link = found.directory.readlink(found.item)
    elif kind in (CHARACTER, BLOCK_DEVICE):
        member.device = (os.major(status.st_rdev), os.minor(status.st_rdev))
    elif kind == DIRECTORY:
        with found.directory.enter(found.item) as inner:
            member.xattrs = xattrs_of(inner.fds[0])
    elif kind == REGULAR:
        yield from _file(found, member)
        return
    yield encode_member(member)


def _file(found: Found, member: Member) -> Iterator[bytes]:
    with opened(found) as fd:
        member.size = left = os.fstat(fd).st_size
        member.xattrs = xattrs_of(fd)
        yield encode_member(member)
        while left:
            piece = os.read(fd, min(left, PIECE_BYTES))
            if not piece:
                raise BuildError(f'cannot give "{found.path}": it changes meanwhile')
            left -= len(piece)
            yield piece
        yield bytes(-member.size % BLOCK)


@contextmanager
def opened(found: Found) -> Iterator[int]:
    """Open a file to read."""
    fd = found.directory.open(found.item)
    try:
        yield fd
    finally:
        os.close(fd)


def xattrs_of(fd: int) -> dict[str, bytes]:
    """Return the extended attributes that are the image's, not the overlay's."""
    return {
        name: os.getxattr(fd, name)
        for name in os.listxattr(fd)
        if name.startswith(_XATTRS) and not name.startswith(_OVERLAY)
    }
