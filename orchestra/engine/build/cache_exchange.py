"""Caches of other machines: read from and written to registries and directories.

A cache is believed in by the build alone that names it: what comes of it is held in memory for that
build, and never becomes a record that another project could find. Blobs go into the store under
their digests, and a layer is what its diff id says before anything is made of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import anyio.to_thread

from orchestra.engine.build.cacheconfig import (
    CACHE_CONFIG,
    Contents,
    decode_cache,
    encode_cache,
    inline_of,
    pair_of,
)
from orchestra.engine.events import Progress
from orchestra.engine.image.compression import bounded, decompress
from orchestra.engine.image.document import encode_descriptor, encode_json
from orchestra.engine.image.ingest import claim
from orchestra.engine.image.layout import Layout
from orchestra.engine.image.layout_writing import write_layout
from orchestra.engine.image.repacking import Packing, repacked
from orchestra.engine.image.settings import RegistrySettings
from orchestra.engine.image.store import ImageStore
from orchestra.engine.image.wire import Manifest
from orchestra.errors import ImageError
from orchestra.oci.digest import Digest
from orchestra.oci.image import MANIFEST_OCI, REF_NAME, Descriptor, Layer
from orchestra.oci.platform import Platform
from orchestra.planner.exchange import CachePlace
from orchestra.values import dataclass, replace


@dataclass(frozen=True, slots=True)
class SharedCaches:
    """The caches that builds of this machine may name."""

    store: ImageStore
    settings: Callable[[], RegistrySettings]

    async def read(self, place: CachePlace, platform: Platform) -> Contents:
        """Return what is in a cache, none of its layers.

        :raises ImageError: when it is not there, not ours or malformed.
        """
        if place.kind == "local":
            return await anyio.to_thread.run_sync(_read_layout, place, platform)
        from orchestra.engine.image.pull import fetch_documents  # noqa: PLC0415 - 80 ms: httpx2

        manifest, config = await fetch_documents(
            place.reference, store=self.store, settings=self.settings(), platform=platform
        )
        return _decoded(manifest, config)

    async def fetch(self, place: CachePlace | None, layer: Layer) -> None:
        """Bring a layer of a cache into the store, and check that it is what it is said to be.

        Without a place it is in the store already.

        :raises ImageError: when it cannot be had, or is something else.
        """
        if place is not None:
            await self._bring(place, layer)
        await anyio.to_thread.run_sync(self._check, layer)

    async def _bring(self, place: CachePlace, layer: Layer) -> None:
        if place.kind == "local":
            ingest = await claim(self.store, layer.descriptor)
            if ingest is not None:
                try:
                    await anyio.to_thread.run_sync(Layout(Path(place.directory)).copy, ingest)
                finally:
                    ingest.close()
        else:
            from orchestra.engine.image.pull import fetch_blob  # noqa: PLC0415 - as above

            await fetch_blob(
                place.reference, layer.descriptor, store=self.store, settings=self.settings()
            )

    def _check(self, layer: Layer) -> None:
        limit = self.settings().limits.bytes_for(layer.descriptor.size)
        found = hashlib.sha256()
        with self.store.open_blob(layer.descriptor.digest) as file:
            for piece in bounded(decompress(file.read), limit, "use a layer of a cache"):
                found.update(piece)
        if f"sha256:{found.hexdigest()}" != layer.diff_id:
            raise ImageError(f"layer {layer.descriptor.digest[:19]} is not what the cache says")

    async def write(
        self, place: CachePlace, contents: Contents, progress: Callable[[Progress], None]
    ) -> None:
        """Write a cache, whose given layers are in the store.

        :raises ImageError: when a layer is missing, or the place does not take it.
        """
        progress(Progress(subject=str(place), action="writing the build cache"))
        make = partial(self._documents, place, contents)
        manifest, blobs = await anyio.to_thread.run_sync(make)
        if place.kind == "registry":
            from orchestra.engine.image.push import push_document  # noqa: PLC0415 - as above

            await push_document(
                place.reference,
                manifest,
                store=self.store,
                settings=self.settings(),
                progress=progress,
            )
            return
        entry = {
            "mediaType": MANIFEST_OCI,
            "digest": manifest,
            "size": self.store.blob_size(manifest),
            "annotations": {REF_NAME: place.tag},
        }
        directory = Path(place.directory)
        write = partial(write_layout, self.store, directory, blobs, [entry])
        await anyio.to_thread.run_sync(write)

    def _documents(
        self, place: CachePlace, contents: Contents
    ) -> tuple[Digest, tuple[Digest, ...]]:
        """Put config and manifest of a cache into the store; return the manifest and every blob."""
        if place.compression:
            contents = self._repacked(contents, place.compression)
        layers = contents.given
        config = encode_cache(contents)
        held = self.store.put_blob(config)
        manifest = self.store.put_blob(_manifest(held, len(config), layers))
        return manifest, (*(layer.descriptor.digest for layer in layers), held, manifest)

    def _repacked(self, contents: Contents, packing: Packing) -> Contents:
        """Return the same with the given layers in another packing."""
        given = {pair_of(layer): repacked(self.store, layer, packing) for layer in contents.given}
        records = {
            key: replace(record, layer=given.get(pair_of(record.layer), record.layer))
            if record.layer is not None
            else record
            for key, record in contents.records.items()
        }
        return replace(contents, records=records)


def _manifest(config: Digest, size: int, layers: Sequence[Layer]) -> bytes:
    document: dict[str, object] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_OCI,
        "config": encode_descriptor(Descriptor(media_type=CACHE_CONFIG, digest=config, size=size)),
        "layers": [encode_descriptor(layer.descriptor) for layer in layers],
    }
    return encode_json(document)


def _read_layout(place: CachePlace, platform: Platform) -> Contents:
    layout = Layout(Path(place.directory))
    manifest = layout.document(layout.manifest(place.tag, place.digest, platform))
    if not isinstance(manifest, Manifest):
        raise ImageError("it is an index, not a cache")
    return _decoded(manifest, layout.read(manifest.config))


def _decoded(manifest: Manifest, config: bytes) -> Contents:
    data = config if manifest.config.media_type == CACHE_CONFIG else inline_of(config)
    return decode_cache(data, manifest.layers)
