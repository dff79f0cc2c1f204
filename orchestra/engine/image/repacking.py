"""The same layers in another packing: gzip, zstd or plain, the same bytes each time.

What a layer is, its diff id, stays; so does the id of an image. Blobs go into the store beside the
ones that were there. Blocking.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Literal

from orchestra.engine.image.compression import Compressor, decompress, gzip_compressor
from orchestra.engine.image.packing import write_packed
from orchestra.engine.image.store import ImageStore
from orchestra.errors import ImageError
from orchestra.oci.image import (
    LAYER_DOCKER,
    LAYER_GZIP,
    LAYER_TAR,
    LAYER_ZSTD,
    Descriptor,
    Layer,
)

Packing = Literal["gzip", "zstd", "uncompressed"]
_TYPES: Mapping[Packing, str] = {
    "gzip": LAYER_GZIP,
    "zstd": LAYER_ZSTD,
    "uncompressed": LAYER_TAR,
}
_ZSTD_LEVEL = 3


class _Plain:
    def compress(self, data: bytes, /) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def _compressor(packing: Packing) -> Compressor:
    if packing == "gzip":
        return gzip_compressor()
    if packing == "uncompressed":
        return _Plain()
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415 - rare
    else:
        from backports import zstd  # noqa: PLC0415
    made: Compressor = zstd.ZstdCompressor(level=_ZSTD_LEVEL)
    return made


def repacked(store: ImageStore, layer: Layer, packing: Packing) -> Layer:
    """Return a layer in another packing, its blob in the store.

    :raises ImageError: when it is damaged, or the disk refuses.
    """
    kind = _TYPES[packing]
    if layer.descriptor.media_type in {kind, LAYER_DOCKER if packing == "gzip" else kind}:
        return layer
    target = store.incoming(f"repack-{os.getpid()}-{os.urandom(6).hex()}")
    try:
        with store.open_blob(layer.descriptor.digest) as source, target.open("xb") as file:
            pieces = decompress(source.read)
            plain, digest, size = write_packed(pieces, _compressor(packing), file)
        if plain != layer.diff_id:
            raise ImageError(f"cannot pack layer {layer.diff_id[:19]}: it is damaged on disk")
        store.keep_incoming(target, digest)
    except OSError as err:
        raise ImageError(
            f"cannot pack a layer: {err.strerror}",
            hint="make room on the disk that holds the data directory",
        ) from err
    finally:
        target.unlink(missing_ok=True)
    descriptor = Descriptor(media_type=kind, digest=digest, size=size)
    return Layer(diff_id=layer.diff_id, descriptor=descriptor)
