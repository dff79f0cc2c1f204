"""Give an image's plain layers the form that registries hold: gzip, the same bytes each time.

The image keeps its id, which its config gives it; its manifest becomes another one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import anyio.to_thread

from orchestra.engine.image.compression import Compressor, decompress, gzip_compressor
from orchestra.engine.image.document import encode_manifest
from orchestra.engine.image.store import ImageStore
from orchestra.errors import ImageError
from orchestra.oci.digest import Digest
from orchestra.oci.image import LAYER_GZIP, LAYER_TAR, Descriptor, Image, Layer

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
    made = store.add_image(manifest, reference=reference, annotations=notes)
    # Where no other name holds the old manifest, it would stay as a nameless twin of the image.
    store.forget(lambda entry: not entry.reference and entry.descriptor.digest == image.manifest)
    return made


def _pack(store: ImageStore, layer: Layer) -> Layer:
    with store.open_blob(layer.descriptor.digest) as file:
        made = keep_packed(store, decompress(file.read), "pack a layer")
    if made.diff_id != layer.diff_id:
        raise ImageError(f"cannot pack layer {layer.diff_id[:19]}: its content is damaged on disk")
    return made


def keep_packed(store: ImageStore, pieces: Iterator[bytes], what: str) -> Layer:
    """Store a stream as the packed blob of a layer; ``what`` is being done, for the error.

    :raises ImageError: when the disk refuses.
    """
    target = store.incoming(f"pack-{os.getpid()}-{os.urandom(6).hex()}")
    try:
        layer = _write_gzip(pieces, target)
        store.keep_incoming(target, layer.descriptor.digest)
    except OSError as err:
        raise ImageError(
            f"cannot {what}: {err.strerror}",
            hint="make room on the disk that holds the data directory",
        ) from err
    finally:
        target.unlink(missing_ok=True)
    return layer


def _write_gzip(pieces: Iterator[bytes], target: Path) -> Layer:
    with target.open("xb") as file:
        plain, outer, size = write_packed(pieces, gzip_compressor(), file)
    return Layer(
        diff_id=plain, descriptor=Descriptor(media_type=LAYER_GZIP, digest=outer, size=size)
    )


def write_packed(
    pieces: Iterable[bytes], compressor: Compressor, file: BinaryIO
) -> tuple[Digest, Digest, int]:
    """Write a stream packed, and to the disk; return its digest, the file's and the file's size."""
    plain, outer = hashlib.sha256(), hashlib.sha256()
    size = 0
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
    return Digest(f"sha256:{plain.hexdigest()}"), Digest(f"sha256:{outer.hexdigest()}"), size
