"""The builder's Layers and Images on the image store and the snapshotter of this machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import TYPE_CHECKING

from orchestra.engine.build.environment import BuildEnvironment, Built, NetworkMode, StepNetwork
from orchestra.engine.build.layers import KeptLayers
from orchestra.engine.build.settled import SettledBuilds
from orchestra.engine.clock import SystemClock
from orchestra.engine.events import Progress
from orchestra.engine.image.layout import LAYOUT, layout_config, load_layout
from orchestra.engine.image.store import SOURCE_DIGEST, ImageStore
from orchestra.engine.paths import Paths
from orchestra.engine.snapshot.snapshotter import Snapshotter
from orchestra.engine.waiting import in_thread, want_loop
from orchestra.errors import OrchestraError
from orchestra.oci.digest import Digest, digest_of, parse_digest
from orchestra.oci.image import Image, ImageConfig, Layer
from orchestra.oci.platform import Platform
from orchestra.values import dataclass

if TYPE_CHECKING:
    from orchestra.engine.build.cache_exchange import SharedCaches
    from orchestra.engine.build.cacheconfig import Contents
    from orchestra.engine.container.launching import LauncherClient
    from orchestra.engine.image.settings import RegistrySettings
    from orchestra.engine.state.store import Store
    from orchestra.planner.exchange import CachePlace


@dataclass(frozen=True, slots=True)
class KeptImages:
    """Images in the store, pulled from the registries of the settings."""

    store: ImageStore
    snapshotter: Snapshotter
    settings: Callable[[], RegistrySettings]

    async def base(
        self,
        reference: str,
        platform: Platform,
        *,
        pull: bool,
        progress: Callable[[Progress], None],
    ) -> Image:
        """Return an image, from the store when it is there (and not ``pull``), else pulled.

        :raises ImageError: when it cannot be had.
        """
        if reference.startswith(LAYOUT):
            text = reference.removeprefix(LAYOUT)
            return await load_layout(self.store, text, platform)
        found = None if pull else self.store.get(reference, platform)
        if found is not None and platform.accepts(found.config.platform):
            return found
        want_loop()
        # The registry's client costs too much to import for a build that needs it not.
        from orchestra.engine.image.pull import pull as pull_image  # noqa: PLC0415

        return await pull_image(
            reference,
            store=self.store,
            snapshotter=self.snapshotter,
            settings=self.settings(),
            platform=platform,
            progress=progress,
        )

    async def config(self, reference: str, platform: Platform) -> ImageConfig | None:
        """Return an image's config alone, its layers left where they are; None if not to be had."""
        try:
            if reference.startswith(LAYOUT):
                text = reference.removeprefix(LAYOUT)
                return await in_thread(layout_config, text, platform)
            found = self.store.get(reference, platform)
            if found is not None:
                return found.config
            want_loop()
            from orchestra.engine.image.pull import fetch_config  # noqa: PLC0415 - as above

            return await fetch_config(
                reference, store=self.store, settings=self.settings(), platform=platform
            )
        except OrchestraError:
            return None

    def known_as(self, reference: str, image: Image) -> Digest:
        """Return the digest by which an image of a reference is known where it came from.

        That is an index's often; its manifest's, where it came from nowhere.
        """
        if reference.startswith(LAYOUT):
            return image.manifest
        known = self.store.annotations(reference).get(SOURCE_DIGEST)
        return parse_digest(known) if known else image.manifest

    def name(self, image: Image, references: Sequence[str]) -> None:
        """Let some names stand for a stored image. Blocks.

        :raises ImageError: when a name is malformed.
        """
        for reference in references:
            target = self.store.target(reference)
            if target is None or target.digest != image.manifest:
                self.store.tag(image.manifest, reference)

    async def add(self, built: Built, references: Sequence[str]) -> Image:
        """Store what was built under some names, nameless without any.

        :raises ImageError: when a layer is gone, or a name is malformed.
        """
        return await in_thread(self._add, built, references)

    def _add(self, built: Built, references: Sequence[str]) -> Image:
        for document in built.documents:
            self.store.put_blob(document)
        first = references[0] if references else None
        if built.index is None:
            image = self.store.add_image(built.manifests[0], reference=first)
            target = image.manifest
        else:
            for manifest in built.manifests:
                self.store.add_manifest(manifest)
            image = self.store.add_index(built.index, reference=first)
            target = digest_of(built.index)
        for reference in references[1:]:
            self.store.tag(target, reference)
        return image


# What only steps need that run something costs too much to import for a build that knows them all.


def _network(
    paths: Paths, state: Callable[[], Store], mode: NetworkMode
) -> AbstractAsyncContextManager[StepNetwork]:
    from orchestra.engine.build.egress import step_networks  # noqa: PLC0415

    return step_networks(paths, state())(mode)


def _launcher() -> AbstractAsyncContextManager[LauncherClient]:
    from orchestra.engine.container.launching import private_launcher  # noqa: PLC0415

    return private_launcher()


@dataclass(frozen=True, slots=True)
class _Shared:
    """Implements Shared, for builds of which most name no cache."""

    store: ImageStore
    settings: Callable[[], RegistrySettings]

    def _caches(self) -> SharedCaches:
        want_loop()
        from orchestra.engine.build.cache_exchange import SharedCaches  # noqa: PLC0415

        return SharedCaches(self.store, self.settings)

    async def read(self, place: CachePlace, platform: Platform) -> Contents:
        return await self._caches().read(place, platform)

    async def fetch(self, place: CachePlace | None, layer: Layer) -> None:
        await self._caches().fetch(place, layer)

    async def write(
        self, place: CachePlace, contents: Contents, progress: Callable[[Progress], None]
    ) -> None:
        await self._caches().write(place, contents, progress)


def build_environment(
    paths: Paths,
    store: ImageStore,
    snapshotter: Snapshotter,
    settings: Callable[[], RegistrySettings],
    state: Callable[[], Store],
    *,
    platform: Platform,
    variables: Mapping[str, str],
    scope: str = "",
) -> BuildEnvironment:
    """Return what a build needs, on this machine; ``scope`` is the project's name."""
    return BuildEnvironment(
        images=KeptImages(store, snapshotter, settings),
        layers=KeptLayers(store, snapshotter),
        paths=paths,
        clock=SystemClock(),
        platform=platform,
        network=partial(_network, paths, state),
        launcher=_launcher,
        settled=SettledBuilds(store, paths, platform=platform, variables=variables, scope=scope),
        shared=_Shared(store, settings),
        variables=variables,
        scope=scope,
    )
