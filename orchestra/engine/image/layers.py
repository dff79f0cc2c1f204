"""Layers of the store as the snapshot room wants them: blobs become directories, and back.

Also the one place that chooses between overlayfs and plain copies.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from orchestra.engine.image.flavour import flavour_of
from orchestra.engine.image.store import ImageStore
from orchestra.engine.linux.host import Features, features
from orchestra.engine.paths import Paths
from orchestra.engine.snapshot.overlay import OverlaySnapshotter
from orchestra.engine.snapshot.snapshotter import Snapshotter
from orchestra.engine.waiting import in_thread
from orchestra.errors import ImageError
from orchestra.oci.image import Layer

if TYPE_CHECKING:
    from orchestra.engine.image.layer import Limits


class StoredLayers:
    """Implements LayerStore over an image store."""

    def __init__(self, store: ImageStore, limits: Limits | None = None) -> None:
        self._store = store
        self._limits = limits
        self._flavour = flavour_of(os.geteuid())

    async def unpack(self, layer: Layer, directory: str) -> tuple[str, ...]:
        """Fill a directory from a blob of the store, checked by its diff id.

        A blob that turns out damaged is dropped, so that the next pull fetches it again.

        :raises ImageError: when it is missing, damaged or refused.
        """
        return await in_thread(self._unpack, layer, directory)

    def _unpack(self, layer: Layer, directory: str) -> tuple[str, ...]:
        from orchestra.engine.image.layer import Limits, unpack  # noqa: PLC0415 - as pack

        limits = self._limits or Limits()
        with self._store.open_blob(layer.descriptor.digest) as file:
            try:
                result = unpack(file.read, directory, layer, limits=limits, flavour=self._flavour)
            except ImageError:
                self._store.drop_blob(layer.descriptor.digest)
                raise
        return result.implied

    async def pack(self, directory: str, *, mtime_max: int | None = None) -> Layer:
        """Make a gzip blob of an upper directory.

        :raises ImageError: when it holds what no layer can say, or the disk refuses.
        """
        return await in_thread(partial(self._pack, directory, mtime_max))

    def _pack(self, directory: str, mtime_max: int | None) -> Layer:
        from orchestra.engine.image.layer import pack  # noqa: PLC0415 - compressors behind it

        target = self._store.incoming(f"pack-{os.getpid()}-{os.urandom(6).hex()}")
        try:
            layer = pack(directory, target, mtime_max=mtime_max, flavour=self._flavour)
            self._store.keep_incoming(target, layer.descriptor.digest)
        except OSError as err:
            raise ImageError(
                f"cannot pack a layer: {err.strerror}",
                hint="make room on the disk that holds the data directory",
            ) from err
        finally:
            target.unlink(missing_ok=True)
        return layer


def open_snapshotter(
    paths: Paths,
    store: ImageStore,
    *,
    limits: Limits | None = None,
    host: Features | None = None,
) -> Snapshotter:
    """Return the snapshotter for this host: overlayfs where it is to be had, plain copies else."""
    layers = StoredLayers(store, limits)
    host = host or features()
    if host.overlayfs and (os.geteuid() == 0 or host.overlay_userxattr):
        return OverlaySnapshotter(paths, layers)
    from orchestra.engine.snapshot.copying import CopyingSnapshotter  # noqa: PLC0415 - rare

    return CopyingSnapshotter(paths, layers)
