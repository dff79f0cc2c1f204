"""The images that a build begins with and copies from, seen as it asks for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from orchestra.values import dataclass

if TYPE_CHECKING:
    from orchestra.engine.build.environment import Built, Images
    from orchestra.engine.events import Progress
    from orchestra.oci.digest import Digest
    from orchestra.oci.image import Image, ImageConfig
    from orchestra.oci.platform import Platform


@dataclass(frozen=True, slots=True)
class Material:
    """An image by its reference, and the digest by which it is known where it came from."""

    reference: str
    platform: str
    digest: str


class SeenImages:
    """Implements Images by another one; ``seen`` gets the base images."""

    def __init__(self, images: Images, seen: Callable[[Material], None]) -> None:
        self._images = images
        self._seen = seen

    async def base(
        self,
        reference: str,
        platform: Platform,
        *,
        pull: bool,
        progress: Callable[[Progress], None],
    ) -> Image:
        """Return an image, from the store when it is there (and not ``pull``), else pulled."""
        image = await self._images.base(reference, platform, pull=pull, progress=progress)
        self._seen(Material(reference, str(platform), self._images.known_as(reference, image)))
        return image

    async def config(self, reference: str, platform: Platform) -> ImageConfig | None:
        """Return an image's config alone, its layers left where they are; None if not to be had."""
        return await self._images.config(reference, platform)

    def known_as(self, reference: str, image: Image) -> Digest:
        """Return the digest by which an image of a reference is known where it came from."""
        return self._images.known_as(reference, image)

    def name(self, image: Image, references: Sequence[str]) -> None:
        """Let some names stand for a stored image. Blocks."""
        self._images.name(image, references)

    async def add(self, built: Built, references: Sequence[str]) -> Image:
        """Store what was built under some names, nameless without any."""
        return await self._images.add(built, references)
