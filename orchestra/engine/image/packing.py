"""Give an image's plain layers the form that registries hold: gzip, the same bytes each time.

The image keeps its id, which its config gives it; its manifest becomes another one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio.to_thread

from orchestra.engine.image.compression import decompress, gzip_compressor
from orchestra.engine.image.document import encode_manifest
from orchestra.engine.image.store import ImageStore
from orchestra.errors import ImageError
from orchestra.oci.digest import Digest
from orchestra.oci.image import LAYER_GZIP, LAYER_TAR, Descriptor, Image, Layer
from orchestra.values import replace

PLAIN = frozenset({LAYER_TAR, "application/vnd.docker.image.rootfs.diff.tar"})


async def packed(store: ImageStore, image: Image, reference: str) -> Image:
    """Return the image with every layer packed, under the same name.

    :raises ImageError: when a layer is damaged, or the disk refuses.
    """
    if not any(layer.descriptor.media_type in PLAIN for layer in image.layers):
        return image
    layers = [
        await anyio.to_thread.run_sync(partial(_pack, store, layer))
        if layer.descriptor.media_type in PLAIN
        else layer
        for layer in image.layers
    ]
    manifest = encode_manifest(store.read_blob(image.id), layers)
    notes = store.annotations(reference)
    return store.add_image(manifest, reference=reference, annotations=notes)


def _pack(store: ImageStore, layer: Layer) -> Layer:
    """Write the packed blob of a plain one."""
    target = store.incoming(f"pack-{os.getpid()}-{os.urandom(6).hex()}")
    try:
        with store.open_blob(layer.descriptor.digest) as file:
            digest, size = write_gzip(decompress(file.read), target, layer.diff_id)
        store.keep_incoming(target, digest)
    except OSError as err:
        raise ImageError(
            f"cannot pack a layer: {err.strerror}",
            hint="make room on the disk that holds the data directory",
        ) from err
    finally:
        target.unlink(missing_ok=True)
    return replace(layer, descriptor=Descriptor(media_type=LAYER_GZIP, digest=digest, size=size))


def write_gzip(pieces: Iterator[bytes], target: Path, expected: Digest) -> tuple[Digest, int]:
    """Pack a stream into a file, synced; return digest and size of the packed bytes.

    :raises ImageError: when the stream is not what its diff id says.
    """
    plain, outer, compressor = hashlib.sha256(), hashlib.sha256(), gzip_compressor()
    size = 0
    with target.open("wb") as file:
        for piece in pieces:
            plain.update(piece)
            data = compressor.compress(piece)
            outer.update(data)
            size += file.write(data)
        data = compressor.flush()
        outer.update(data)
        size += file.write(data)
        file.flush()
        os.fdatasync(file.fileno())
    if f"sha256:{plain.hexdigest()}" != expected:
        raise ImageError(f"cannot pack layer {expected[:19]}: its content is damaged on disk")
    return Digest(f"sha256:{outer.hexdigest()}"), size
