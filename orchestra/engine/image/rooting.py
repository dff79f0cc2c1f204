"""Make an image of one layer out of the archive of a root file system."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import anyio.to_thread

from orchestra.engine.image.compression import bounded, decompress_archive
from orchestra.engine.image.document import encode_config, encode_manifest
from orchestra.engine.image.layer import Limits
from orchestra.engine.image.packing import keep_packed
from orchestra.engine.image.store import ImageStore, make_image
from orchestra.engine.image.wire import Manifest, parse_document
from orchestra.engine.snapshot.snapshotter import Snapshotter
from orchestra.oci.image import Image, ImageConfig, Layer


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
    pieces = bounded(decompress_archive(read), limits.bytes_max, "import the archive")
    return keep_packed(store, pieces, "import the archive")
