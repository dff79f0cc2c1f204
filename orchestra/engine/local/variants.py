"""The platforms of an image: what is here of each, and how one of them goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from orchestra.engine.image.prune import Roots, sweep
from orchestra.engine.image.tree import (
    Node,
    attestations_of,
    is_image,
    is_index,
)
from orchestra.engine.image.wire import Index
from orchestra.errors import ImageError
from orchestra.oci.digest import Digest
from orchestra.oci.image import Descriptor, Image
from orchestra.oci.platform import Platform
from orchestra.values import dataclass

if TYPE_CHECKING:
    from orchestra.engine.image.catalogue import Found
    from orchestra.engine.image.store import ImageStore
    from orchestra.engine.snapshot.snapshotter import Snapshotter
    from orchestra.planner.observed import ObservedContainer


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One platform of an image.

    ``id`` is the image's, or where that is not here the digest of its manifest. ``content_bytes``:
    its blobs that are here; ``layer_bytes``: the files of its layers.
    """

    platform: str
    id: str
    here: bool
    content_bytes: int = 0
    layer_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Variants:
    """An image with its platforms; ``content_bytes``: all of its blobs that are here."""

    variants: tuple[Variant, ...]
    content_bytes: int

    @property
    def disk_bytes(self) -> int:
        """Blobs and the files of layers together."""
        return self.content_bytes + sum(variant.layer_bytes for variant in self.variants)


def variants_of(
    store: ImageStore, target: Digest, layer_sizes: Callable[[Image], Sequence[int]]
) -> Variants:
    """Return the platforms of a manifest or an index, in its order. Blocks.

    :raises ImageError: when the document itself is missing or damaged.
    """
    nodes = store.nodes(store.describe(target))
    images = {image.manifest: image for image in store.images_of(nodes[0].descriptor)}
    blobs = {digest for node in nodes if node.present for digest in node.digests}
    found = [
        _variant(store, node, images.get(node.descriptor.digest), layer_sizes)
        for node in nodes
        if is_image(node.descriptor) and not is_index(node.descriptor)
    ]
    return Variants(variants=tuple(found), content_bytes=sum(map(store.blob_size, blobs)))


def _variant(
    store: ImageStore,
    node: Node,
    image: Image | None,
    layer_sizes: Callable[[Image], Sequence[int]],
) -> Variant:
    if image is None:
        platform = str(node.descriptor.platform or "unknown")
        return Variant(platform=platform, id=node.descriptor.digest, here=False)
    return Variant(
        platform=str(image.config.platform),
        id=image.id,
        here=True,
        content_bytes=sum(map(store.blob_size, set(node.digests))),
        layer_bytes=sum(layer_sizes(image)),
    )


async def remove_variants(
    store: ImageStore,
    snapshotter: Snapshotter,
    roots: Callable[[], Roots],
    found: Found,
    platforms: Iterable[Platform],
    users: Mapping[str, tuple[ObservedContainer, ...]],
) -> tuple[str, ...]:
    """Remove the images that an index has for some platforms; return docker's lines.

    Others of it stay, and the index as it is: a pull of that platform brings it back.

    :raises ImageError: when one is not here or something needs it, or nothing would be left.
    """
    target = store.describe(found.target)
    name = found.reference.familiar if found.reference else found.image.id[7:19]
    images = store.images_of(target)
    going = [_of_platform(images, platform, name) for platform in platforms]
    if len({image.manifest for image in going}) == len(images):
        raise ImageError(
            f'cannot remove all platforms of "{name}" that are here',
            hint=f"remove the image: orchestra image rm {name}",
        )
    for image in going:
        _check_free(store, image, name, users)

    def drop() -> Roots:  # under the lock of the sweep: nobody reads an image meanwhile
        used = roots()
        kept = [image for image in going if image.id in used.images]
        if kept:
            raise ImageError(f'cannot remove {kept[0].config.platform} of "{name}": it is in use')
        for image in going:
            for digest in _manifests(store, target, image):
                store.drop_blob(digest)
        return used

    if await sweep(store, snapshotter, drop) is None:
        raise ImageError(
            f'cannot remove a platform of "{name}": images are being pulled or built just now',
            hint="try again when that is done",
        )
    return tuple(f"Deleted: {image.id}" for image in going)


def _of_platform(images: Sequence[Image], platform: Platform, name: str) -> Image:
    exact = [image for image in images if image.config.platform == platform]
    fitting = exact or [
        image for image in images if platform.rank(image.config.platform) is not None
    ]
    if not fitting:
        here = ", ".join(sorted(str(image.config.platform) for image in images))
        raise ImageError(f'no image "{name}" for {platform} here', hint=f"it is here for {here}")
    return fitting[0]


def _check_free(
    store: ImageStore, image: Image, name: str, users: Mapping[str, tuple[ObservedContainer, ...]]
) -> None:
    """Check that no container and no other name needs an image.

    :raises ImageError: when one does.
    """
    if used := users.get(image.id, ()):
        raise ImageError(
            f'cannot remove {image.config.platform} of "{name}": the container '
            f'"{used[0].name}" uses it',
            hint="remove that first",
        )
    others = [line.reference for line in store.list() if line.target.digest == image.manifest]
    if others:
        raise ImageError(
            f'cannot remove {image.config.platform} of "{name}": it has a name of its own'
            + (f', "{others[0]}"' if others[0] else ""),
            hint="remove that first",
        )


def _manifests(store: ImageStore, target: Descriptor, image: Image) -> list[Digest]:
    """Return the manifest of an image of an index, and of what the index says about it."""
    found = [image.manifest]
    for node in store.nodes(target):
        if isinstance(node.document, Index):
            told = attestations_of(node.document, image.manifest)
            found += [entry.digest for entry in told]
    return found
