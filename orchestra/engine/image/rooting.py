"""Make an image of one layer out of the archive of a root file system."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from functools import partial

import anyio.to_thread

from orchestra.engine.image.compression import decompress_archive, gzip_compressor
from orchestra.engine.image.document import encode_config, encode_manifest
from orchestra.engine.image.layer import Limits
from orchestra.engine.image.store import ImageStore, make_image
from orchestra.engine.image.wire import Manifest, parse_document
from orchestra.engine.snapshot.snapshotter import Snapshotter
from orchestra.errors import ImageError
from orchestra.oci.digest import Digest
from orchestra.oci.image import LAYER_GZIP, Descriptor, Image, ImageConfig, Layer


async def import_root(
    read: Callable[[int], bytes],
    configure: Callable[[Layer], ImageConfig],
    reference: str | None,
    *,
    store: ImageStore,
    snapshotter: Snapshotter,
    limits: Limits,
) -> Image:
    """Store an image of the archive that ``read`` gives, packed or not.

    ``configure`` returns the image's config for its one layer.

    :raises ImageError: when the archive is damaged, too large, or holds what no layer may.
    """
    with store.writing():
        layer = await anyio.to_thread.run_sync(partial(_layer, store, read, limits))
        config = encode_config(configure(layer))
        store.put_blob(config)
        data = encode_manifest(config, [layer])
        manifest = parse_document(data)
        assert isinstance(manifest, Manifest)
        image = make_image(store.put_blob(data), manifest, store.read_blob)
        await snapshotter.ensure_layers(image)
        return store.add_image(data, reference=reference)


def _layer(store: ImageStore, read: Callable[[int], bytes], limits: Limits) -> Layer:
    target = store.incoming(f"import-{os.getpid()}-{os.urandom(6).hex()}")
    plain, outer, compressor = hashlib.sha256(), hashlib.sha256(), gzip_compressor()
    size = 0
    try:
        with target.open("xb") as file:
            for piece in _bounded(decompress_archive(read), limits.bytes_max):
                plain.update(piece)
                data = compressor.compress(piece)
                outer.update(data)
                size += file.write(data)
            data = compressor.flush()
            outer.update(data)
            size += file.write(data)
            file.flush()
            os.fdatasync(file.fileno())
        digest = Digest(f"sha256:{outer.hexdigest()}")
        store.keep_incoming(target, digest)
    except OSError as err:
        raise ImageError(
            f"cannot import the archive: {err.strerror}",
            hint="make room on the disk that holds the data directory",
        ) from err
    finally:
        target.unlink(missing_ok=True)
    descriptor = Descriptor(media_type=LAYER_GZIP, digest=digest, size=size)
    return Layer(diff_id=Digest(f"sha256:{plain.hexdigest()}"), descriptor=descriptor)


def _bounded(pieces: Iterator[bytes], limit: int) -> Iterator[bytes]:
    count = 0
    for piece in pieces:
        count += len(piece)
        if count > limit:
            raise ImageError(
                f"cannot import the archive: it grows beyond {limit} bytes",
                hint="it looks like a decompression bomb; if you trust it, raise "
                "ORCHESTRA_LAYER_BYTES_MAX",
            )
        yield piece
