"""Snapshots: unpacked layers by chain id, shared by every container, and roots made of them.

A snapshot is one layer's directory in overlayfs' form, ``Paths.snapshots/<chain id>``. It appears
by a rename once it is whole, checked and on the disk, and never changes afterwards. How layers
become bytes and back is the image room's affair, handed in as :class:`LayerStore`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from orchestra.oci.digest import Digest
from orchestra.oci.image import Image, Layer
from orchestra.values import dataclass

if TYPE_CHECKING:
    from orchestra.engine.shim.protocol import Rootfs

Unpack = Callable[[Layer, str], Awaitable[tuple[str, ...]]]
"""Fill an existing empty directory with a layer; returns the directories that it only implies."""


class LayerStore(Protocol):
    """Where layers' blobs are."""

    async def unpack(self, layer: Layer, directory: str) -> tuple[str, ...]:
        """Fill a directory from the layer's blob, checked; return what it only implies."""
        ...

    async def pack(self, directory: str, *, mtime_max: int | None = None) -> Layer:
        """Make a blob of a directory in overlayfs' form."""
        ...


@dataclass(frozen=True, slots=True)
class Committed:
    """A new layer, and its snapshot."""

    layer: Layer
    directory: str


class Snapshotter(Protocol):
    """Layers as directories, and root file systems made of them."""

    def place(self, chain: Digest) -> str:
        """Return the directory that the snapshot of a chain id has, or would have."""
        ...

    def layers(self, image: Image) -> tuple[str, ...] | None:
        """Return the snapshot directories of an image, uppermost first; None if any is missing."""
        ...

    async def ensure_layers(self, image: Image, *, unpack: Unpack | None = None) -> tuple[str, ...]:
        """Return the snapshot directories of an image, uppermost first, making what is missing.

        ``unpack`` is how a missing layer is had (a pull downloads it on the way); without it, from
        its blob in the store. Each layer is made once, whoever asks for it at the same time.

        :raises ImageError: when a layer cannot be had or is refused.
        """
        ...

    def rootfs(self, layers: Sequence[str], directory: str) -> Rootfs:
        """Make a writable root over some layers, its own files below ``directory``. Blocking.

        :raises ImageError: when the disk refuses.
        """
        ...

    async def commit_layer(
        self, rootfs: Rootfs, *, parents: Sequence[Digest], mtime_max: int | None = None
    ) -> Committed:
        """Turn what was written in a root into a layer: a blob in the store, and a snapshot.

        ``parents``: diff ids of the layers below, lowest first. The root is used up.

        :raises ImageError: when it holds what no layer can say, or the disk refuses.
        """
        ...

    async def remove(self, directory: str) -> None:
        """Remove a snapshot that nothing uses."""
        ...

    async def remove_leftovers(self) -> None:
        """Remove what killed processes left half-made."""
        ...

    def all(self) -> tuple[str, ...]:
        """Return every snapshot directory, by name."""
        ...
