"""Remove what no image, container or build needs any more: blobs, snapshots, nameless images.

What is on its way into the store is marked by ``ImageStore.writing``; a sweep waits for nobody and
does nothing meanwhile. What is in use is asked for once nobody writes any more, so that a container
that was just made is known.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import anyio.to_thread

from orchestra.engine.image.index import Entry
from orchestra.engine.image.store import ImageStore
from orchestra.engine.snapshot.removal import remove_tree
from orchestra.engine.snapshot.snapshotter import Snapshotter
from orchestra.oci.digest import Digest
from orchestra.values import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """What is in use beside the images that have names.

    ``directories``: snapshots of containers. ``images``: ids of images that containers were made
    of. ``blobs``: layers of the build cache.
    """

    directories: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()
    blobs: frozenset[Digest] = field(default_factory=frozenset)


async def sweep(
    store: ImageStore,
    snapshotter: Snapshotter,
    roots: Callable[[], Roots],
    *,
    forget: Callable[[Roots], Callable[[Entry], bool]] | None = None,
) -> int | None:
    """Remove what is unreachable, and return how many bytes of blobs and files that were.

    None when somebody is pulling or building just now: nothing is removed then.

    ``forget`` decides, knowing what is in use, which entries of the index go first.
    """
    with store.writing(exclusive=True) as alone:
        if not alone:
            return None
        used = roots()
        if forget is not None:
            store.forget(forget(used))
        blobs, directories = set(used.blobs), set(used.directories)
        for line in store.list():
            blobs |= {digest for node in store.nodes(line.target) for digest in node.digests}
            for image in line.images:
                directories |= {snapshotter.place(chain) for chain in image.chain_ids}
        snapshots = [path for path in snapshotter.all() if path not in directories]
        freed = 0
        for path in snapshots:
            freed += await anyio.to_thread.run_sync(size_of, path)
            await snapshotter.remove(path)
        await snapshotter.remove_leftovers()
        return freed + await anyio.to_thread.run_sync(_drop, store, blobs)


def _drop(store: ImageStore, keep: set[Digest]) -> int:
    size = 0
    for digest in store.blobs():
        if digest not in keep:
            size += store.blob_size(digest)
            store.drop_blob(digest)
    for path in store.incoming("lock").parent.iterdir():
        if path.name != "lock":
            size += size_of(str(path))
            if path.is_dir() and not path.is_symlink():
                remove_tree(str(path))
            else:
                path.unlink(missing_ok=True)
    store.drop_temporaries()
    return size


def size_of(path: str) -> int:
    """Return how many bytes a file, or a tree of files, takes on disk; each file once."""
    seen: set[tuple[int, int]] = set()
    total, todo = 0, [path]
    while todo:
        place = todo.pop()
        try:
            status = os.lstat(place)
            if (status.st_dev, status.st_ino) in seen:
                continue
            seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * 512
            if Path(place).is_dir() and not Path(place).is_symlink():
                todo += [entry.path for entry in os.scandir(place)]
        except OSError:
            continue  # it has gone meanwhile
    return total
