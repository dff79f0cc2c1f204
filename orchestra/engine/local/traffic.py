"""Images on their way in and out: registries and archives.

Each way is imported only where it is used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestra.engine.image.catalogue import Catalogue, is_repository, repository_of
from orchestra.engine.image.store import ImageStore
from orchestra.errors import ImageError
from orchestra.oci.image import Image
from orchestra.oci.platform import Platform, parse_platform, platform_of_machine
from orchestra.oci.reference import parse_reference

if TYPE_CHECKING:
    from orchestra.engine.image.loading import Loaded
    from orchestra.engine.image.push import Pushed
    from orchestra.engine.image.settings import RegistrySettings
    from orchestra.engine.snapshot.snapshotter import Snapshotter
    from orchestra.engine.target import Report


class ImageTraffic:
    """What brings images into the store of this machine, and out of it."""

    def __init__(
        self,
        images: ImageStore,
        snapshotter: Callable[[], Snapshotter],
        settings: Callable[[], RegistrySettings],
    ) -> None:
        self.store = images
        self._snapshotter = snapshotter
        self._settings = settings

    async def references(self, name: str, *, all_tags: bool) -> tuple[str, ...]:
        """Return what a name stands for: itself, or with ``all_tags`` every tag its registry has.

        :raises ImageError: when the registry does not tell, or the name has a tag already.
        """
        parsed = parse_reference(name)
        if not all_tags:
            return (name,)
        _check_repository(name)
        from orchestra.engine.image.digests import tags_of  # noqa: PLC0415

        tags = await tags_of(parsed, self._settings())
        return tuple(f"{repository_of(parsed)}:{tag}" for tag in tags)

    async def pull(self, reference: str, platform: str | None, report: Report) -> Image:
        """Fetch an image and unpack its layers.

        :raises ImageError: when it cannot be had.
        """
        from orchestra.engine.image.pull import pull  # noqa: PLC0415

        return await pull(
            reference,
            store=self.store,
            snapshotter=self._snapshotter(),
            settings=self._settings(),
            platform=_platform(platform),
            progress=report,
        )

    async def push(self, reference: str, report: Report, platform: str | None = None) -> Pushed:
        """Give an image to its registry, or an index; with ``platform`` one image of it.

        :raises ImageError: when it is not here, or the registry does not take it.
        """
        from orchestra.engine.image.push import push  # noqa: PLC0415

        return await push(
            reference,
            store=self.store,
            settings=self._settings(),
            progress=report,
            platform=parse_platform(platform) if platform else None,
        )

    def tags_here(self, name: str, *, all_tags: bool) -> tuple[str, ...]:
        """Return what a name stands for: itself, or with ``all_tags`` every tag of it here.

        :raises ImageError: when there is none, or the name has a tag already.
        """
        if not all_tags:
            return (name,)
        _check_repository(name)
        found = sorted(line.name for line in Catalogue(self.store).tags_of(name))
        if not found:
            raise ImageError(f'no image "{name}" here', hint="see `orchestra image ls`")
        return tuple(found)

    def save(
        self,
        texts: Iterable[str],
        write: Callable[[bytes], object],
        platform: str | None = None,
    ) -> None:
        """Write images as one archive; a repository without a tag means all of its tags.

        Indexes are written as they are, or the image for ``platform`` of each.

        :raises ImageError: when there is no such image.
        """
        from orchestra.engine.image.save import archive_of, saved_of  # noqa: PLC0415

        with self.store.writing():
            wanted = parse_platform(platform) if platform else None
            for piece in archive_of(self.store, saved_of(self.store, texts, wanted)):
                write(piece)

    async def load(self, read: Callable[[int], bytes], platform: str | None) -> tuple[Loaded, ...]:
        """Store the images of an archive.

        :raises ImageError: when something in it is refused.
        """
        from orchestra.engine.image.loading import load  # noqa: PLC0415

        return await load(
            read,
            store=self.store,
            snapshotter=self._snapshotter(),
            limits=self._settings().limits,
            platform=parse_platform(platform) if platform else None,
        )

    async def import_root(
        self,
        read: Callable[[int], bytes],
        reference: str | None,
        *,
        changes: tuple[str, ...],
        message: str,
        platform: str | None,
    ) -> str:
        """Make an image of a root file system's archive; return its id.

        :raises ImageError: when the archive is refused, or the name is none.
        :raises BuildError: when a change is wrong.
        """
        from orchestra.engine.image.rooting import import_root  # noqa: PLC0415
        from orchestra.engine.local.importing import configured  # noqa: PLC0415

        if reference and parse_reference(reference).digest:
            raise ImageError(f'cannot name an image "{reference}": that is a digest')
        wanted = configured(changes, message, _platform(platform), datetime.now(UTC))
        image = await import_root(
            read,
            wanted,
            reference,
            store=self.store,
            snapshotter=self._snapshotter(),
            limits=self._settings().limits,
        )
        return image.id


def _check_repository(name: str) -> None:
    """Check that a name can stand for all of its tags.

    :raises ImageError: when it has one.
    """
    if not is_repository(name):
        raise ImageError(f'cannot use all tags of "{name}": it names one of them')


def _platform(text: str | None) -> Platform:
    return parse_platform(text) if text else platform_of_machine(os.uname().machine)
