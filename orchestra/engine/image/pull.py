"""Pull an image: the room's entry for everybody who wants one from a registry.

Light to import: the HTTP client comes in only when something is really pulled.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from orchestra.engine.events import Progress
from orchestra.engine.image.settings import RegistrySettings
from orchestra.engine.image.store import ImageStore
from orchestra.engine.image.wire import Manifest
from orchestra.engine.snapshot.snapshotter import Snapshotter
from orchestra.oci.image import Descriptor, Image, ImageConfig
from orchestra.oci.platform import Platform
from orchestra.oci.reference import parse_reference

if TYPE_CHECKING:
    from orchestra.engine.image.transfer import Transfer


async def pull(
    reference: str,
    *,
    store: ImageStore,
    snapshotter: Snapshotter,
    settings: RegistrySettings,
    platform: Platform,
    progress: Callable[[Progress], None],
) -> Image:
    """Fetch an image from its registry or a mirror of it, verify and unpack it, and name it.

    What the store has already is not fetched again; what a killed pull left is taken up.

    :raises RegistryError: when no registry gives it.
    :raises ImageError: when it is not what it claims to be, is refused, or the disk is full.
    """
    async with _transfer(reference, store, settings, progress) as transfer:
        return await transfer.run(snapshotter, platform)


async def fetch_config(
    reference: str, *, store: ImageStore, settings: RegistrySettings, platform: Platform
) -> ImageConfig:
    """Fetch an image's config from its registry, verified, and none of its layers.

    :raises RegistryError: when no registry gives it.
    :raises ImageError: when it is not what it claims to be.
    """
    async with _transfer(reference, store, settings) as transfer:
        return await transfer.config(platform)


async def fetch_documents(
    reference: str, *, store: ImageStore, settings: RegistrySettings, platform: Platform
) -> tuple[Manifest, bytes]:
    """Fetch a manifest and its config from a registry, verified, whatever the config is of.

    :raises RegistryError: when no registry gives it.
    :raises ImageError: when it is not what it claims to be.
    """
    async with _transfer(reference, store, settings) as transfer:
        return await transfer.documents(platform)


async def fetch_blob(
    reference: str, blob: Descriptor, *, store: ImageStore, settings: RegistrySettings
) -> None:
    """Fetch one blob of a repository into the store, verified.

    :raises RegistryError: when no registry gives it.
    :raises ImageError: when it is not what it claims to be.
    """
    async with _transfer(reference, store, settings) as transfer:
        await transfer.fetch(blob)


@asynccontextmanager
async def _transfer(
    reference: str,
    store: ImageStore,
    settings: RegistrySettings,
    progress: Callable[[Progress], None] = lambda _: None,
) -> AsyncIterator[Transfer]:
    from orchestra.engine.image.http import HttpClient  # noqa: PLC0415 - 80 ms: httpx2
    from orchestra.engine.image.transfer import Meter, Transfer  # noqa: PLC0415

    parsed = parse_reference(reference)
    with store.writing():
        async with HttpClient() as http:
            yield Transfer(http, parsed, store, settings, Meter(reference, progress))
