"""Compressed streams of layers: gzip, zstd or plain, told by their first bytes, memory bounded.

Decompressing never yields more than a piece at a time, however well the input was packed.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import ModuleType
from typing import Protocol

from orchestra.errors import ImageError

fast_zlib: ModuleType = zlib
GZIP_LEVEL = 6
with suppress(ImportError):  # a machine that isal is not built for
    from isal import isal_zlib

    fast_zlib, GZIP_LEVEL = isal_zlib, 2

PIECE_BYTES = 1 << 18
_WINDOW_LOG_MAX = 27
_XZ_BYTES_MAX = 256 << 20
GZIP = b"\x1f\x8b"
ZSTD = b"\x28\xb5\x2f\xfd"
_XZ = b"\xfd7zXZ"
_BZIP2 = b"BZh"
_BROKEN: tuple[type[Exception], ...] = (zlib.error, fast_zlib.error, EOFError)


class Compressor(Protocol):
    """What gathers bytes and gives compressed ones."""

    def compress(self, data: bytes, /) -> bytes:
        """Take bytes in, and return those that are ready."""
        ...

    def flush(self) -> bytes:
        """Return the rest."""
        ...


def gzip_compressor() -> Compressor:
    """Return a compressor whose output depends on the input alone: no name, no time."""
    compressor: Compressor = fast_zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)
    return compressor


def decompress(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield the plain bytes of a stream, in pieces of bounded size; ``read`` gives b"" at its end.

    :raises ImageError: when the stream is damaged, ends early, or is packed in another way.
    """
    first = read(PIECE_BYTES)
    while len(first) < 6 and (more := read(PIECE_BYTES)):
        first += more
    if first.startswith(GZIP):
        return _pieces(_gunzip(first, read))
    if first.startswith(ZSTD):
        return _pieces(_unzstd(first, read))
    if first.startswith((_XZ, _BZIP2)):
        raise ImageError("cannot unpack a layer: it is neither gzip, zstd nor plain tar")
    return _plain(first, read)


def _pieces(stream: Iterator[bytes]) -> Iterator[bytes]:
    try:
        yield from stream
    except _BROKEN as err:
        raise ImageError(f"cannot unpack a layer: its compressed data is damaged ({err})") from err


def _plain(first: bytes, read: Callable[[int], bytes]) -> Iterator[bytes]:
    data = first
    while data:
        yield data
        data = read(PIECE_BYTES)


def _gunzip(data: bytes, read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Unpack one member after the other; zero bytes behind the last are padding."""
    while data := data.lstrip(b"\0") or read(PIECE_BYTES):
        if not data.strip(b"\0"):
            continue
        member = fast_zlib.decompressobj(31)
        while not member.eof:
            yield member.decompress(data, PIECE_BYTES)
            data = member.unconsumed_tail
            if not data and not member.eof:
                data = read(PIECE_BYTES)
                if not data:
                    yield from _drain(member)
                    if not member.eof:
                        raise EOFError("it ends early")
        data = member.unused_data


class _Member(Protocol):
    eof: bool

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _drain(member: _Member) -> Iterator[bytes]:
    """Yield what a member still holds when its input is all there."""
    while not member.eof and (piece := member.decompress(b"", PIECE_BYTES)):
        yield piece


def _unzstd(data: bytes, read: Callable[[int], bytes]) -> Iterator[bytes]:
    if sys.version_info >= (3, 14):  # few layers are packed so
        from compression import zstd  # noqa: PLC0415
    else:
        from backports import zstd  # noqa: PLC0415

    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG_MAX}
    try:
        yield from _frames(data, read, lambda: zstd.ZstdDecompressor(options=options))
    except zstd.ZstdError as err:
        raise EOFError(str(err)) from err


def _frames(
    data: bytes, read: Callable[[int], bytes], make: Callable[[], _Frame]
) -> Iterator[bytes]:
    """Unpack one frame after the other; ``make`` gives what unpacks the next."""
    while data := data or read(PIECE_BYTES):
        frame = make()
        while not frame.eof:
            yield frame.decompress(data, PIECE_BYTES)
            data = b""
            if frame.needs_input and not frame.eof:
                data = read(PIECE_BYTES)
                if not data:
                    raise EOFError("it ends early")
        data = frame.unused_data


class _Frame(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def decompress_archive(read: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield the plain bytes of an archive that somebody keeps: as a layer's, or xz, or bzip2.

    :raises ImageError: when the stream is damaged, ends early, or is packed in another way.
    """
    import bz2  # noqa: PLC0415 - rare
    import lzma  # noqa: PLC0415 - rare

    first = read(PIECE_BYTES)
    while len(first) < 6 and (more := read(PIECE_BYTES)):
        first += more
    broken = (lzma.LZMAError, OSError)
    if first.startswith(_XZ):
        frames = _frames(first, read, lambda: lzma.LZMADecompressor(memlimit=_XZ_BYTES_MAX))
        return _pieces(_translated(frames, broken))
    if first.startswith(_BZIP2):
        return _pieces(_translated(_frames(first, read, bz2.BZ2Decompressor), broken))
    waiting = [first]
    return decompress(lambda count: waiting.pop() if waiting else read(count))


def bounded(pieces: Iterator[bytes], limit: int, what: str) -> Iterator[bytes]:
    """Yield the pieces as long as they are no more than ``limit`` bytes together.

    :raises ImageError: when they are more; ``what`` is being done with them.
    """
    count = 0
    for piece in pieces:
        count += len(piece)
        if count > limit:
            raise ImageError(
                f"cannot {what}: it grows beyond {limit} bytes",
                hint="it looks like a decompression bomb; if you trust it, raise "
                "ORCHESTRA_LAYER_BYTES_MAX",
            )
        yield piece


def _translated(frames: Iterator[bytes], broken: tuple[type[Exception], ...]) -> Iterator[bytes]:
    try:
        yield from frames
    except broken as err:
        raise EOFError(str(err)) from err
