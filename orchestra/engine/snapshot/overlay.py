"""Snapshots for overlayfs: layers are stacked by the kernel when a shim mounts the root."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.engine.paths import Paths
from orchestra.engine.snapshot.chain import LayerDirectories, copy_attributes
from orchestra.engine.snapshot.snapshotter import Committed, LayerStore, Unpack
from orchestra.errors import ImageError
from orchestra.oci.digest import Digest
from orchestra.oci.image import Image

if TYPE_CHECKING:
    from orchestra.engine.shim.protocol import Rootfs


class OverlaySnapshotter:
    """Implements Snapshotter where the kernel has overlayfs."""

    def __init__(self, paths: Paths, store: LayerStore) -> None:
        self._directories = LayerDirectories(paths, store)

    def place(self, chain: Digest) -> str:
        """Return the directory that the snapshot of a chain id has, or would have."""
        return str(self._directories.place(chain))

    def layers(self, image: Image) -> tuple[str, ...] | None:
        """Return the snapshot directories of an image, uppermost first; None if any is missing."""
        return self._directories.layers(image)

    async def ensure_layers(self, image: Image, *, unpack: Unpack | None = None) -> tuple[str, ...]:
        """Return the snapshot directories of an image, uppermost first, making what is missing.

        :raises ImageError: when a layer cannot be had or is refused.
        """
        return await self._directories.ensure(image, unpack)

    def rootfs(self, layers: Sequence[str], directory: str) -> Rootfs:
        """Make upper and work below ``directory``; an image without layers gets an empty one.

        The root directory of an overlay is that of its upper, so this takes after the top layer's.

        :raises ImageError: when the disk refuses.
        """
        base = Path(directory)
        try:
            lower = list(layers) or [str(_directory(base / "empty"))]
            upper, work = _directory(base / "upper"), _directory(base / "work")
            source, target = (os.open(path, os.O_RDONLY) for path in (lower[0], upper))
            try:
                copy_attributes(source, target)
            finally:
                os.close(source)
                os.close(target)
        except OSError as err:
            raise ImageError(f'cannot make a root in "{directory}": {err}') from err
        return {"lower": lower, "upper": str(upper), "work": str(work)}

    async def commit_layer(
        self, rootfs: Rootfs, *, parents: Sequence[Digest], mtime_max: int | None = None
    ) -> Committed:
        """Turn the upper directory into a layer and a snapshot; the root is used up.

        :raises ImageError: when it holds what no layer can say, or the disk refuses.
        """
        return await self._directories.commit(rootfs["upper"], parents, mtime_max)

    async def remove(self, directory: str) -> None:
        """Remove a snapshot that nothing uses."""
        await self._directories.remove(directory)

    async def remove_leftovers(self) -> None:
        """Remove what killed processes left half-made."""
        await self._directories.remove_leftovers()

    def all(self) -> tuple[str, ...]:
        """Return every snapshot directory, by name."""
        return self._directories.all()


def _directory(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o755)
    return path
