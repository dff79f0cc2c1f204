"""The builder's Layers on the image store and the snapshotter of this machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from orchestra.oci.digest import digest_of
from orchestra.oci.image import Image, ImageConfig, Layer
from orchestra.oci.platform import Platform
from orchestra.values import dataclass

if TYPE_CHECKING:
    from orchestra.engine.image.store import ImageStore
    from orchestra.engine.shim.protocol import Rootfs
    from orchestra.engine.snapshot.snapshotter import Snapshotter

_EMPTY = digest_of(bytes(1024))
"""The diff id of a layer that holds nothing: two blocks that end a tar."""


@dataclass(frozen=True, slots=True)
class KeptLayers:
    """Layers in the store, unpacked by the snapshotter."""

    store: ImageStore
    snapshotter: Snapshotter

    async def directories(self, layers: Sequence[Layer]) -> tuple[str, ...]:
        """Return the unpacked directories of some layers (lowest first), uppermost first."""
        if not layers:
            return ()
        return await self.snapshotter.ensure_layers(_image_of(layers))

    def rootfs(self, directories: Sequence[str], scratch: str) -> Rootfs:
        """Make a writable root over some directories, its own files below ``scratch``. Blocks."""
        return self.snapshotter.rootfs(directories, scratch)

    async def commit(
        self, rootfs: Rootfs, below: Sequence[Layer], *, epoch: int | None
    ) -> Layer | None:
        """Make a layer of what was written in a root, which is used up; None when it is nothing."""
        if rootfs["upper"] and not os.listdir(rootfs["upper"]):  # noqa: PTH208
            return None
        parents = [layer.diff_id for layer in below]
        committed = await self.snapshotter.commit_layer(rootfs, parents=parents, mtime_max=epoch)
        return None if committed.layer.diff_id == _EMPTY else committed.layer

    def has(self, layer: Layer) -> bool:
        """Tell whether a layer is kept."""
        return self.store.has_blob(layer.descriptor.digest, layer.descriptor.size)

    def writing(self) -> AbstractContextManager[object]:
        """Keep a sweep from what no image holds yet."""
        return self.store.writing()


def _image_of(layers: Sequence[Layer]) -> Image:
    """Return an image of nothing but layers: what the snapshotter asks for."""
    nothing = digest_of(b"")
    config = ImageConfig(
        platform=Platform("linux", ""), diff_ids=tuple(layer.diff_id for layer in layers)
    )
    return Image(id=nothing, manifest=nothing, config=config, layers=tuple(layers))
