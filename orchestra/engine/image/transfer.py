"""Carry one image from its registry into the store: documents first, then layers in parallel.

Each layer is written, hashed and unpacked while it arrives; nothing is used, and no name leads to
it, before its digests agree. Imports httpx2: reached through pull.py alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import anyio
import anyio.to_thread

from orchestra.engine.events import Progress
from orchestra.engine.image.flavour import flavour_of
from orchestra.engine.image.http import HttpClient, Unreachable
from orchestra.engine.image.ingest import Ingest, claim
from orchestra.engine.image.layer import unpack
from orchestra.engine.image.layers import StoredLayers
from orchestra.engine.image.platforms import choose, no_platform
from orchestra.engine.image.registry import Document, Repository
from orchestra.engine.image.settings import RegistrySettings
from orchestra.engine.image.store import SOURCE_DIGEST, ImageStore, make_image
from orchestra.engine.image.tree import attestations_of
from orchestra.engine.image.wire import Manifest, parse_document
from orchestra.engine.snapshot.snapshotter import Snapshotter
from orchestra.errors import ImageError, OrchestraError
from orchestra.oci.image import MANIFEST_BYTES_MAX, Descriptor, Image, ImageConfig, Layer
from orchestra.oci.platform import Platform
from orchestra.oci.reference import ImageRef

_WRITE_BYTES = 1 << 20
_REPORT_SECONDS = 0.1
_DEPTH_MAX = 5
_ATTACHED_BYTES_MAX = 32 << 20
"""Of what is said about one image."""


class Meter:
    """Adds up what arrives for one image, and tells it now and then."""

    def __init__(self, subject: str, progress: Callable[[Progress], None]) -> None:
        self._subject = subject
        self._progress = progress
        self._current = 0
        self._total: int | None = None
        self._told_at = 0.0

    def say(self, action: str) -> None:
        """Tell what is being done."""
        self._progress(
            Progress(subject=self._subject, action=action, current=self._current, total=self._total)
        )

    def expect(self, total: int) -> None:
        """Set how many bytes are to come."""
        self._current, self._total = 0, total
        self.say("pulling")

    def more(self, count: int) -> None:
        """Expect bytes beside those that were told of."""
        self._total = (self._total or 0) + count

    def add(self, count: int) -> None:
        """Count bytes."""
        self._current += count
        now = anyio.current_time()
        if now - self._told_at >= _REPORT_SECONDS or self._current == self._total:
            self._told_at = now
            self.say("pulling")


class Transfer:
    """The pull of one image."""

    def __init__(
        self,
        http: HttpClient,
        reference: ImageRef,
        store: ImageStore,
        settings: RegistrySettings,
        meter: Meter,
    ) -> None:
        self._http = http
        self._reference = reference
        self._store = store
        self._settings = settings
        self._meter = meter
        self._repository = Repository(http, reference, settings, meter.say)
        self._layers = StoredLayers(store, settings.limits)

    async def config(self, platform: Platform) -> ImageConfig:
        """Fetch and verify the config alone.

        :raises RegistryError: when the registry does not give it.
        :raises ImageError: when something is not what it claims to be.
        """
        name = self._reference.digest or self._reference.tag or "latest"
        top = await self._repository.manifest(name)
        (*_, document), manifest = await self._choose(top, platform)
        return (await self._describe(document, manifest, platform)).config

    async def documents(self, platform: Platform) -> tuple[Manifest, bytes]:
        """Fetch a manifest and the bytes of its config, whatever it is of.

        :raises RegistryError: when the registry does not give it.
        :raises ImageError: when something is not what it claims to be.
        """
        name = self._reference.digest or self._reference.tag or "latest"
        _, manifest = await self._choose(await self._repository.manifest(name), platform)
        if manifest.config.size > MANIFEST_BYTES_MAX:
            raise ImageError(f"its config would have {manifest.config.size} bytes")
        await self._fetch_missing(manifest.config)
        return manifest, self._store.read_blob(manifest.config.digest)

    async def fetch(self, blob: Descriptor) -> None:
        """Fetch one blob.

        :raises RegistryError: when the registry does not give it.
        :raises ImageError: when it is not what it claims to be.
        """
        await self._fetch_missing(blob)

    async def run(self, snapshotter: Snapshotter, platform: Platform) -> Image:
        """Fetch, verify, unpack, and name the image.

        :raises RegistryError: when the registry does not give it.
        :raises ImageError: when something is not what it claims to be.
        """
        self._meter.say("resolving")
        name = self._reference.digest or self._reference.tag or "latest"
        top = await self._repository.manifest(name)
        (*indexes, document), manifest = await self._choose(top, platform)
        image = await self._describe(document, manifest, platform)
        sizes = {
            layer.descriptor.digest: layer.descriptor.size
            for layer in image.layers
            if not self._store.has_blob(layer.descriptor.digest, layer.descriptor.size)
        }
        self._meter.expect(sum(sizes.values()))
        failures: list[OrchestraError] = []
        async with anyio.create_task_group() as group:
            if indexes:
                group.start_soon(self._attached, indexes[-1], document)
            try:
                await snapshotter.ensure_layers(image, unpack=self._fetch_and_unpack)
                for layer in image.layers:
                    await self._fetch_missing(layer.descriptor)
            except OrchestraError as err:
                failures.append(err)
                group.cancel_scope.cancel()
        if failures:
            raise failures[0]
        self._keep(top, indexes, document)
        self._meter.say("pulled")
        return image

    def _keep(self, top: Document, indexes: Sequence[Document], document: Document) -> None:
        """Name what was asked for: the index as it is, where that was one.

        A manifest comes into the store when all that it names is there: in an index that has its
        name already, that is how the images that are here are told from the others.
        """
        reference, notes = str(self._reference), {SOURCE_DIGEST: top.digest}
        if not indexes:
            self._store.add_image(document.data, reference=reference, annotations=notes)
            return
        self._store.add_manifest(document.data)
        for index in reversed(indexes[1:]):
            self._store.put_blob(index.data)
        self._store.add_index(top.data, reference=reference, annotations=notes)

    async def _attached(self, index: Document, image: Document) -> None:
        """Fetch what an index says about an image: its provenance, its bill of materials.

        An image is as good without: what cannot be had, or is large, is left where it is.
        """
        for entry in attestations_of(parse_document(index.data, index.media_type), image.digest):
            with suppress(OrchestraError):
                if not self._store.has_blob(entry.digest, entry.size):
                    await self._attach(entry)

    async def _attach(self, entry: Descriptor) -> None:
        document = await self._repository.manifest(entry.digest)
        manifest = parse_document(document.data, document.media_type)
        if not isinstance(manifest, Manifest) or len(document.data) != entry.size:
            return
        blobs = (manifest.config, *manifest.layers)
        if sum(blob.size for blob in blobs) <= _ATTACHED_BYTES_MAX:
            for blob in blobs:
                self._meter.more(blob.size)
                await self._fetch_missing(blob)
            self._store.put_blob(document.data)  # last: that it is here says that it is whole

    async def _choose(self, top: Document, platform: Platform) -> tuple[list[Document], Manifest]:
        """Follow indexes to the manifest of a platform; return the documents on the way to it."""
        way = [top]
        for _ in range(_DEPTH_MAX):
            parsed = parse_document(way[-1].data, way[-1].media_type)
            if isinstance(parsed, Manifest):
                return way, parsed
            descriptor = choose(parsed, platform, self._reference)
            document = await self._repository.manifest(descriptor.digest)
            if len(document.data) != descriptor.size:
                raise ImageError(
                    f'cannot pull "{self._reference.familiar}": its manifest has '
                    f"{len(document.data)} bytes, its index says {descriptor.size}"
                )
            way.append(document)
        raise ImageError(
            f'cannot pull "{self._reference.familiar}": its indexes are nested too deeply'
        )

    async def _describe(self, document: Document, manifest: Manifest, platform: Platform) -> Image:
        """Fetch the config, and put manifest and config together."""
        if manifest.config.size > MANIFEST_BYTES_MAX:
            raise ImageError(
                f'cannot pull "{self._reference.familiar}": its config would have '
                f"{manifest.config.size} bytes"
            )
        await self._fetch_missing(manifest.config)
        image = make_image(document.digest, manifest, self._store.read_blob)
        if platform.rank(image.config.platform) is None:
            raise no_platform(self._reference, platform, [image.config.platform])
        return image

    async def _fetch_missing(self, descriptor: Descriptor) -> None:
        ingest = await claim(self._store, descriptor)
        if ingest is None:
            return
        try:
            await self._receive(ingest)
        finally:
            ingest.close()

    async def _fetch_and_unpack(self, layer: Layer, directory: str) -> tuple[str, ...]:
        """Download a layer and unpack it as it comes; from the store when it is there already."""
        ingest = await claim(self._store, layer.descriptor)
        if ingest is None:
            return await self._layers.unpack(layer, directory)
        try:
            return await self._both(ingest, layer, directory)
        finally:
            ingest.close()

    async def _both(self, ingest: Ingest, layer: Layer, directory: str) -> tuple[str, ...]:
        failures: list[OrchestraError] = []
        implied: tuple[str, ...] = ()

        async def load() -> None:
            try:
                await self._receive(ingest)
            except OrchestraError as err:
                failures.append(err)
            finally:
                ingest.end(complete=False)

        async with anyio.create_task_group() as group:
            group.start_soon(load)
            try:
                result = await anyio.to_thread.run_sync(
                    partial(
                        unpack,
                        ingest.read,
                        directory,
                        layer,
                        limits=self._settings.limits,
                        flavour=flavour_of(os.geteuid()),
                    )
                )
                implied = result.implied
            except OrchestraError as err:
                failures.append(err)
                group.cancel_scope.cancel()
        if failures:
            raise failures[0]
        return implied

    async def _receive(self, ingest: Ingest) -> None:
        """Download a blob to its end, taking up where a broken connection left off."""
        self._meter.add(ingest.size)
        attempts = self._http.patience.attempts
        failed = 0
        while ingest.size < ingest.descriptor.size:
            before = ingest.size
            try:
                await self._receive_some(ingest)
                short = Unreachable(self._reference.registry, "the body ends early", passing=True)
            except Unreachable as err:
                short = err
            failed = failed + 1 if ingest.size == before else 1
            if ingest.size < ingest.descriptor.size:
                if failed >= attempts or not short.passing:
                    raise short
                await self._http.sleep(self._http.patience.backoff * 2 ** (failed - 1))
        await anyio.to_thread.run_sync(ingest.finish)

    async def _receive_some(self, ingest: Ingest) -> None:
        descriptor = ingest.descriptor
        async with self._repository.blob(descriptor.digest, ingest.size) as response:
            # A server that ignores the range sends from the start: skip what we have.
            skip = ingest.size if response.status_code == 200 else 0
            expected = descriptor.size - ingest.size + skip
            _check_length(response.headers.get("content-length"), expected, descriptor)
            buffer = bytearray()
            try:
                async for piece in self._http.pieces(response):
                    fresh = piece[skip:]
                    skip -= len(piece) - len(fresh)
                    buffer += fresh
                    if len(buffer) >= _WRITE_BYTES:
                        await self._write(ingest, buffer)
            finally:
                if buffer:
                    with anyio.CancelScope(shield=True):
                        await self._write(ingest, buffer)

    async def _write(self, ingest: Ingest, buffer: bytearray) -> None:
        data = bytes(buffer)
        buffer.clear()
        await anyio.to_thread.run_sync(ingest.write, data)
        self._meter.add(len(data))


def _check_length(told: str | None, expected: int, descriptor: Descriptor) -> None:
    if told is not None and told != str(expected):
        raise ImageError(
            f"cannot use blob {descriptor.digest[:19]}: a body of {told[:20]} bytes is announced, "
            f"not {expected}",
            hint="the registry or something on the way to it is broken, or lies",
        )
