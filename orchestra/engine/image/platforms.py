"""Which manifest of an index suits a platform. Pure."""

from __future__ import annotations

from orchestra.engine.image.tree import is_image
from orchestra.engine.image.wire import Index
from orchestra.errors import ImageError
from orchestra.oci.image import Descriptor
from orchestra.oci.platform import Platform
from orchestra.oci.reference import ImageRef


def choose(index: Index, platform: Platform, reference: ImageRef) -> Descriptor:
    """Return the manifest in an index that suits a platform best.

    :raises ImageError: when none does; the hint lists those there are.
    """
    ranked = [
        (rank, position)
        for position, entry in enumerate(index.manifests)
        if entry.platform is not None
        and is_image(entry)
        and (rank := platform.rank(entry.platform)) is not None
    ]
    if ranked:
        return index.manifests[min(ranked)[1]]
    bare = [entry for entry in index.manifests if entry.platform is None and is_image(entry)]
    if len(bare) == 1:
        return bare[0]
    raise no_platform(
        reference, platform, [entry.platform for entry in index.manifests if entry.platform]
    )


def no_platform(reference: ImageRef, platform: Platform, there: list[Platform]) -> ImageError:
    """Say that an image is not made for a platform, and for which it is."""
    names = sorted({str(one) for one in there if one.os != "unknown"})
    return ImageError(
        f'cannot pull "{reference.familiar}": it is not made for {platform}',
        hint=f"it is there for {', '.join(names) or 'no platform at all'}; choose one with "
        "platform: in the service",
    )
