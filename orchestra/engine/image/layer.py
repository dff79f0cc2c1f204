"""Layers: a blob becomes a directory as overlayfs reads it, and such a directory becomes a blob.

Both ways stream: bounded memory, the digests of the packed and of the plain bytes in the same
pass. Blocking: belongs in worker threads.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from orchestra.engine.image.compression import PIECE_BYTES, decompress, gzip_compressor
from orchestra.engine.image.diff import archive
from orchestra.engine.image.flavour import Flavour
from orchestra.engine.image.tar import REGULAR, SYMLINK, Member, TarReader
from orchestra.engine.snapshot.sizes import note_bytes
from orchestra.errors import ImageError
from orchestra.hashing import Sha256
from orchestra.oci.digest import Digest, hex_of
from orchestra.oci.image import LAYER_GZIP, Descriptor, Layer
from orchestra.values import dataclass

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

_ALONE_PIECES = 8
_WAITING_MAX = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Where unpacking one layer stops, so that a bomb does not fill the disk.

    Beyond ``free_bytes`` a layer may not be more than ``ratio`` times as large as its blob: gzip
    reaches 1032, programs and texts 2 to 20.
    """

    bytes_max: int = 64 << 30
    members_max: int = 2_000_000
    free_bytes: int = 4 << 30
    ratio: int = 200

    def bytes_for(self, packed_bytes: int) -> int:
        """Return how many bytes a blob of this size may become."""
        return min(self.bytes_max, max(self.free_bytes, packed_bytes * self.ratio))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpacked:
    """A filled directory; ``implied`` are directories that no member of the archive names."""

    diff_id: Digest
    plain_bytes: int
    members: int
    implied: tuple[str, ...]


class _Plain:
    """The plain bytes on their way: counted, bounded, hashed."""

    def __init__(self, pieces: Iterator[bytes], limit: int) -> None:
        self._pieces = pieces
        self._limit = limit
        self._hash = Sha256()
        self.count = 0

    @property
    def digest(self) -> Digest:
        return Digest("sha256:" + self._hash.hexdigest())

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.count += len(piece)
            if self.count > self._limit:
                raise ImageError(
                    f"cannot unpack a layer: it grows beyond {self._limit} bytes",
                    hint="it looks like a decompression bomb; if you trust it, raise "
                    "ORCHESTRA_LAYER_BYTES_MAX",
                )
            self._hash.update(piece)
            yield piece


def unpack(
    read: Callable[[int], bytes],
    directory: str,
    layer: Layer,
    *,
    limits: Limits,
    flavour: Flavour,
) -> Unpacked:
    """Unpack a layer's blob, as ``read`` gives it, into an empty directory.

    :raises ImageError: when it is not the layer it should be, or anything in it is refused.
    """
    from orchestra.engine.image.extract import Extractor  # noqa: PLC0415 - who packs unpacks not

    plain = _Plain(decompress(read), limits.bytes_for(layer.descriptor.size))
    reader = TarReader(iter(plain))
    members = content = 0
    with Extractor(directory, flavour) as extractor:
        for member in reader.members():
            members += 1
            content += _bytes_of(member)
            if members > limits.members_max:
                raise ImageError(
                    f"cannot unpack a layer: it has more than {limits.members_max} files",
                    hint="it looks like a bomb of files; do not trust the image",
                )
            extractor.apply(member, reader.content())
        extractor.finish()
        implied = extractor.implied
    if plain.digest != layer.diff_id:
        raise ImageError(
            f"cannot use layer {layer.descriptor.digest[:19]}: its content has digest "
            f"{plain.digest}, the image's config names {layer.diff_id}",
            hint="the image is damaged at its source, or somebody changed it",
        )
    note_bytes(directory, content)
    return Unpacked(diff_id=plain.digest, plain_bytes=plain.count, members=members, implied=implied)


def _bytes_of(member: Member) -> int:
    """Return what a member adds to the size of its layer, as it is counted in a directory."""
    if member.kind == SYMLINK:
        return len(os.fsencode(member.link))
    return member.size if member.kind == REGULAR else 0


def pack(directory: str, target: Path, *, mtime_max: int | None, flavour: Flavour) -> Layer:
    """Write an overlay's upper directory as a gzip layer to the file ``target``, synced.

    ``mtime_max`` (seconds since the epoch) clamps times, so that the same content packs alike.

    :raises ImageError: when the directory holds what no layer can say.
    """
    with target.open("wb") as file:
        packing = _Packing(file)
        try:
            for piece in _gathered(archive(directory, mtime_max=mtime_max, flavour=flavour)):
                packing.take(piece)
        finally:
            packing.end()
        packing.finish()
        file.flush()
        os.fdatasync(file.fileno())
    return packing.layer


def _gathered(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what comes in pieces of some size: a call for each of a file's would cost more."""
    gathered: list[bytes] = []
    size = 0
    for piece in pieces:
        gathered.append(piece)
        size += len(piece)
        if size >= PIECE_BYTES:
            yield b"".join(gathered)
            gathered.clear()
            size = 0
    yield b"".join(gathered)


class _Packing:
    """A layer's file being written: hashed, packed, hashed again; of many pieces by a thread.

    That goes on while the next files are read: neither needs Python's lock for long.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._compressor = gzip_compressor()
        self._plain, self._packed = Sha256(), Sha256()
        self._size = self._count = 0
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[None]] = deque()

    def take(self, piece: bytes) -> None:
        """Take the next piece."""
        self._count += 1
        if self._count <= _ALONE_PIECES:
            self._pack(piece)
            return
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - for many

            self._pool = ThreadPoolExecutor(1)
        self._waiting.append(self._pool.submit(self._pack, piece))
        if len(self._waiting) > _WAITING_MAX:
            self._waiting.popleft().result()

    def _pack(self, piece: bytes) -> None:
        self._plain.update(piece)
        self._write(self._compressor.compress(piece))

    def _write(self, data: bytes) -> None:
        if data:
            self._packed.update(data)
            self._file.write(data)
            self._size += len(data)

    def end(self) -> None:
        """Wait for the thread, if there is one."""
        if self._pool is not None:
            self._pool.shutdown()

    def finish(self) -> None:
        """Write what is left.

        :raises OSError: what went wrong in the thread, too.
        """
        for waiting in self._waiting:
            waiting.result()
        self._write(self._compressor.flush())

    @property
    def layer(self) -> Layer:
        """The layer that was written."""
        digest = Digest("sha256:" + self._packed.hexdigest())
        descriptor = Descriptor(media_type=LAYER_GZIP, digest=digest, size=self._size)
        return Layer(diff_id=Digest("sha256:" + self._plain.hexdigest()), descriptor=descriptor)


def short(digest: Digest) -> str:
    """Return the twelve digits by which people know a digest."""
    return hex_of(digest)[:12]
