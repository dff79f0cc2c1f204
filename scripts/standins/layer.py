"""One image layer in memory, and its reproducible gzip-compressed tar.

Entries are written sorted and with time 0, so that the same input gives the same digest. Nothing
here knows where the content comes from.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

GZIP = 31
NAME_BYTES = 99


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who a file belongs to inside the image."""

    uid: int = 0
    gid: int = 0


ROOT = Owner()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file, directory or link; ``kind`` is the tar type byte."""

    kind: bytes
    mode: int
    data: bytes = b""
    target: str = ""
    owner: Owner = ROOT

    def header(self, path: str) -> bytes:
        """Return the tar header blocks for this entry at ``path``."""
        info = tarfile.TarInfo(path)
        info.type, info.mode, info.linkname = self.kind, self.mode, self.target
        info.uid, info.gid, info.mtime, info.size = (
            self.owner.uid,
            self.owner.gid,
            0,
            len(self.data),
        )
        long = len(path) > NAME_BYTES or len(self.target) > NAME_BYTES
        return info.tobuf(tarfile.PAX_FORMAT if long else tarfile.GNU_FORMAT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A layer on disk: digest and size of the gzip, diff_id and size of the tar inside."""

    digest: str
    size: int
    diff_id: str
    tar_size: int


class Layer:
    """A mutable mapping of paths (without a leading slash) to entries."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __getitem__(self, path: str) -> Entry:
        return self._entries[path]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._entries))

    def put(self, path: str, entry: Entry) -> None:
        """Put ``entry`` at ``path``, making the directories above it."""
        parts = path.strip("/").split("/")
        for depth in range(1, len(parts)):
            parent = "/".join(parts[:depth])
            self._entries.setdefault(parent, Entry(kind=tarfile.DIRTYPE, mode=0o755))
        self._entries["/".join(parts)] = entry

    def file(self, path: str, data: bytes | str, mode: int = 0o644, *, owner: Owner = ROOT) -> None:
        """Put a regular file."""
        raw = data.encode() if isinstance(data, str) else data
        self.put(path, Entry(kind=tarfile.REGTYPE, mode=mode, data=raw, owner=owner))

    def directory(self, path: str, mode: int = 0o755, *, owner: Owner = ROOT) -> None:
        """Put a directory, or change the mode and owner of one."""
        self.put(path, Entry(kind=tarfile.DIRTYPE, mode=mode, owner=owner))

    def symlink(self, path: str, target: str) -> None:
        """Put a symbolic link."""
        self.put(path, Entry(kind=tarfile.SYMTYPE, mode=0o777, target=target))

    def hardlink(self, path: str, target: str, mode: int) -> None:
        """Put a hard link to ``target``, a path of this layer."""
        self.put(path, Entry(kind=tarfile.LNKTYPE, mode=mode, target=target))

    def drop(self, unwanted: Callable[[str], bool]) -> None:
        """Forget every path that ``unwanted`` says yes to."""
        for path in self:
            if unwanted(path):
                del self._entries[path]

    def _tar(self) -> Iterator[bytes]:
        for path in sorted(self._entries):
            entry = self._entries[path]
            yield entry.header(path)
            yield entry.data
            yield bytes(-len(entry.data) % tarfile.BLOCKSIZE)
        yield bytes(2 * tarfile.BLOCKSIZE)

    def write(self, directory: Path, *, level: int = 1) -> Blob:
        """Write the layer to ``directory``, named by the hex of its digest."""
        outer, inner, sizes = hashlib.sha256(), hashlib.sha256(), [0, 0]
        packer = zlib.compressobj(level, zlib.DEFLATED, GZIP)
        part = directory / f".layer-{os.getpid()}-{id(self)}"
        with part.open("wb") as sink:

            def emit(packed: bytes) -> None:
                outer.update(packed)
                sizes[0] += sink.write(packed)

            for piece in self._tar():
                inner.update(piece)
                sizes[1] += len(piece)
                emit(packer.compress(piece))
            emit(packer.flush())
        part.rename(directory / outer.hexdigest())
        return Blob(
            digest=f"sha256:{outer.hexdigest()}",
            size=sizes[0],
            diff_id=f"sha256:{inner.hexdigest()}",
            tar_size=sizes[1],
        )
