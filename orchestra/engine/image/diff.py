"""An overlay's upper directory as a tar archive of a layer: same content, same bytes.

Sorted by name, numeric owners, hard links inside the layer kept, whiteouts and opaque marks in
the image spec's form (layer.md). Walks by descriptors and follows no link. Blocking.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from orchestra.engine.image.flavour import WHITEOUT, Flavour
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
from orchestra.errors import ImageError

_READ_BYTES = 1 << 20
_DEPTH_MAX = 256
_XATTRS = ("user.", "security.capability")
_OVERLAY_XATTRS = ("trusted.overlay.", "user.overlay.")
_UNTELLABLE = ("redirect", "metacopy")


def archive(directory: str, *, mtime_max: int | None, flavour: Flavour) -> Iterator[bytes]:
    """Yield the archive of an upper directory; its root itself is no member.

    ``mtime_max`` in seconds since the epoch: later times are written as this one.

    :raises ImageError: when a file vanishes or changes size meanwhile, or the overlay was mounted
        with redirects (redirect_dir, metacopy), which a layer cannot express.
    """
    root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield from _Walk(mtime_max, flavour).directory(root, "", 0)
    except OSError as err:
        raise ImageError(f'cannot pack "{directory}": {err}') from err
    finally:
        os.close(root)
    yield bytes(2 * BLOCK)


class _Walk:
    def __init__(self, mtime_max: int | None, flavour: Flavour) -> None:
        self._mtime_max = mtime_max
        self._opaque = flavour.opaque_xattr
        self._links: dict[tuple[int, int], str] = {}

    def directory(self, fd: int, prefix: str, depth: int) -> Iterator[bytes]:
        if depth > _DEPTH_MAX:
            raise ImageError(
                f'cannot pack "{prefix[:200]}": more than {_DEPTH_MAX} directories deep'
            )
        if self._opaque in os.listxattr(fd) and os.getxattr(fd, self._opaque) == b"y" and prefix:
            yield encode_member(Member(name=f"{prefix}.wh..wh..opq", mode=0, size=0))
        for name in sorted(os.listdir(fd)):
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            kind = KINDS.get(stat.S_IFMT(status.st_mode))
            if kind is None:
                continue  # a socket: nothing that a layer could bring back to life
            if name.startswith(WHITEOUT):
                raise ImageError(f'cannot pack "{prefix}{name}": names in .wh. mark deletions')
            if kind == CHARACTER and status.st_rdev == 0:
                yield encode_member(Member(name=f"{prefix}{WHITEOUT}{name}", mode=0))
            elif kind == DIRECTORY:
                yield from self._subdirectory(fd, name, prefix, status, depth)
            else:
                yield from self._other(fd, name, prefix, status)

    def _subdirectory(
        self, parent: int, name: str, prefix: str, status: os.stat_result, depth: int
    ) -> Iterator[bytes]:
        with _opened(parent, name, os.O_DIRECTORY) as fd:
            member = self._member(f"{prefix}{name}/", status)
            member.xattrs = _xattrs(fd, member.name)
            yield encode_member(member)
            yield from self.directory(fd, member.name, depth + 1)

    def _other(
        self, parent: int, name: str, prefix: str, status: os.stat_result
    ) -> Iterator[bytes]:
        member = self._member(f"{prefix}{name}", status)
        identity = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and identity in self._links:
            member.kind, member.link, member.size = HARD_LINK, self._links[identity], 0
            yield encode_member(member)
            return
        self._links[identity] = member.name
        if member.kind == SYMLINK:
            member.link = os.readlink(name, dir_fd=parent)
        if member.kind != REGULAR:
            yield encode_member(member)
            return
        with _opened(parent, name, 0) as fd:
            member.xattrs = _xattrs(fd, member.name)
            yield encode_member(member)
            yield from _content(fd, member)

    def _member(self, name: str, status: os.stat_result) -> Member:
        mtime_ns = status.st_mtime_ns
        if self._mtime_max is not None:
            mtime_ns = min(mtime_ns, self._mtime_max * 1_000_000_000)
        kind = KINDS[stat.S_IFMT(status.st_mode)]
        is_device = kind in {CHARACTER, BLOCK_DEVICE}
        device = (os.major(status.st_rdev), os.minor(status.st_rdev)) if is_device else (0, 0)
        return Member(
            name=name,
            kind=kind,
            mode=stat.S_IMODE(status.st_mode),
            uid=status.st_uid,
            gid=status.st_gid,
            size=status.st_size if kind == REGULAR else 0,
            mtime_ns=mtime_ns,
            device=device,
        )


@contextmanager
def _opened(parent: int, name: str, flags: int) -> Iterator[int]:
    fd = os.open(
        name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flags, dir_fd=parent
    )
    try:
        yield fd
    finally:
        os.close(fd)


def _content(fd: int, member: Member) -> Iterator[bytes]:
    left = member.size
    while left:
        piece = os.read(fd, min(left, _READ_BYTES))
        if not piece:
            raise ImageError(f'cannot pack "{member.name[:200]}": it shrank while being read')
        left -= len(piece)
        yield piece
    padding = -member.size % BLOCK
    if padding:
        yield bytes(padding)


def _xattrs(fd: int, name: str) -> dict[str, bytes]:
    found = {}
    for key in os.listxattr(fd):
        overlay = next((prefix for prefix in _OVERLAY_XATTRS if key.startswith(prefix)), None)
        if overlay and key.removeprefix(overlay) in _UNTELLABLE:
            raise ImageError(
                f'cannot pack "{name[:200]}": the overlay was mounted with redirects',
                hint="mount it with redirect_dir=off,metacopy=off",
            )
        if not overlay and key.startswith(_XATTRS):
            found[key] = os.getxattr(fd, key)
    return found
