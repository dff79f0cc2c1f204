"""Remove what no image, container or build needs any more: blobs, snapshots, nameless images."""

from __future__ import annotations

import anyio.to_thread

from orchestra.engine.image.store import ImageStore
from orchestra.engine.snapshot.snapshotter import Snapshotter
from orchestra.oci.digest import Digest
from orchestra.values import dataclass


@dataclass(frozen=True, slots=True)
class Swept:
    """How much was removed; ``bytes`` counts blobs."""

    blobs: int
    snapshots: int
    bytes: int


async def sweep(
    store: ImageStore,
    snapshotter: Snapshotter,
    *,
    in_use: frozenset[str],
    images_in_use: frozenset[str],
    blobs_in_use: frozenset[Digest] = frozenset(),
) -> Swept | None:
    """Remove what is unreachable; None when somebody is pulling or building just now.

    ``in_use``: snapshot directories of containers and of the build cache. ``images_in_use``: ids
    of images that containers were made of. ``blobs_in_use``: layers of the build cache.
    """
    with store.writing(exclusive=True) as alone:
        if not alone:
            return None
        store.drop_nameless(images_in_use)
        blobs, directories = set(blobs_in_use), set(in_use)
        for line in store.list():
            blobs |= {line.image.manifest, line.image.id}
            blobs |= {layer.descriptor.digest for layer in line.image.layers}
            directories |= set(snapshotter.layers(line.image) or ())
        snapshots = [path for path in snapshotter.all() if path not in directories]
        for path in snapshots:
            await snapshotter.remove(path)
        await snapshotter.remove_leftovers()
        count, size = await anyio.to_thread.run_sync(_drop, store, blobs)
        return Swept(blobs=count, snapshots=len(snapshots), bytes=size)


def _drop(store: ImageStore, keep: set[Digest]) -> tuple[int, int]:
    count = size = 0
    for digest in store.blobs():
        if digest not in keep:
            size += store.blob_size(digest)
            store.drop_blob(digest)
            count += 1
    for path in store.incoming("lock").parent.iterdir():
        if path.name != "lock":
            path.unlink(missing_ok=True)
    return count, size
