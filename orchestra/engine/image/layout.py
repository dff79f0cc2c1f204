"""An OCI image layout on the disk -> an image in the store (image-layout.md).

Every blob is checked by its digest and size on the way, as one that is pulled.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.engine.image.store import ImageStore
from orchestra.engine.image.wire import Index, Manifest, parse_config, parse_document
from orchestra.engine.waiting import in_thread, want_loop
from orchestra.errors import ImageError
from orchestra.oci.digest import digest_of, hex_of, parse_digest
from orchestra.oci.image import MANIFEST_BYTES_MAX, REF_NAME, Descriptor, Image, ImageConfig
from orchestra.oci.platform import Platform

if TYPE_CHECKING:
    from orchestra.engine.image.ingest import Ingest

LAYOUT = "oci-layout://"
_CHUNK = 1 << 20
_DEPTH_MAX = 4


async def load_layout(store: ImageStore, text: str, platform: Platform) -> Image:
    """Put the image "DIRECTORY[:TAG][@DIGEST]" of a layout into the store, nameless.

    Without tag and digest the layout's one image, or that named "latest", is meant.

    :raises ImageError: when it is not there, not for the platform, or damaged.
    """
    layout, manifest, document = await in_thread(_find, text, platform)
    want_loop()
    from orchestra.engine.image.ingest import claim  # noqa: PLC0415 - few builds read layouts

    for layer in document.layers:
        ingest = await claim(store, layer)
        if ingest is not None:
            try:
                await in_thread(layout.copy, ingest)
            finally:
                ingest.close()
    return await in_thread(_add, store, layout, manifest, document)


def _add(store: ImageStore, layout: Layout, manifest: Descriptor, document: Manifest) -> Image:
    store.put_blob(layout.read(document.config))
    return store.add_image(layout.read(manifest))


def layout_config(text: str, platform: Platform) -> ImageConfig:
    """Read the config of an image of a layout, and bring nothing into a store. Blocks.

    :raises ImageError: when it is not there, not for the platform, or damaged.
    """
    layout, _, document = _find(text, platform)
    return parse_config(layout.read(document.config))


def _find(text: str, platform: Platform) -> tuple[Layout, Descriptor, Manifest]:
    path, _, digest = text.partition("@")
    directory = Path(path)
    tag = ""
    if not directory.is_dir() and ":" in directory.name:
        path, _, tag = path.rpartition(":")
        directory = Path(path)
    layout = Layout(directory)
    manifest = layout.manifest(tag, digest, platform)
    document = layout.document(manifest)
    if not isinstance(document, Manifest):
        raise ImageError(f'"{text}" has no image for {platform}')
    return layout, manifest, document


class Layout:
    """A layout's directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def _open(self, digest: str) -> Path:
        return self.directory / "blobs" / "sha256" / hex_of(parse_digest(digest))

    def read(self, descriptor: Descriptor) -> bytes:
        """Read a document, checked."""
        try:
            with self._open(descriptor.digest).open("rb") as file:
                data = file.read(MANIFEST_BYTES_MAX + 1)
        except OSError as error:
            raise self._refused(error) from error
        if digest_of(data) != descriptor.digest:
            raise ImageError(f'"{self.directory}" is damaged: {descriptor.digest[:19]} differs')
        return data

    def document(self, descriptor: Descriptor) -> Manifest | Index:
        """Read a manifest or an index."""
        return parse_document(self.read(descriptor), descriptor.media_type)

    def _refused(self, error: OSError) -> ImageError:
        return ImageError(
            f'cannot read the image layout "{self.directory}": {error.strerror}',
            hint="it is a directory that holds index.json and blobs",
        )

    def manifest(self, tag: str, digest: str, platform: Platform) -> Descriptor:
        """Find the manifest of a tag or a digest, for a platform."""
        try:
            with (self.directory / "index.json").open("rb") as file:
                found = parse_document(file.read(MANIFEST_BYTES_MAX + 1))
        except OSError as error:
            raise self._refused(error) from error
        if not isinstance(found, Index):
            raise ImageError(f'"{self.directory}" is no image layout: its index.json is no index')
        entries = list(found.manifests)
        if digest:
            entries = [entry for entry in entries if entry.digest == parse_digest(digest)]
        elif tag or len(entries) > 1:
            wanted = tag or "latest"
            entries = [entry for entry in entries if _names(entry, wanted)] or (
                entries if not tag and _one_image(entries) else []
            )
        for _ in range(_DEPTH_MAX):
            chosen = _best(entries, platform)
            if chosen is None:
                break
            document = self.document(chosen)
            if isinstance(document, Manifest):
                return chosen
            entries = list(document.manifests)
        what = digest or tag or "image"
        raise ImageError(f'there is no {what} for {platform} in the layout "{self.directory}"')

    def copy(self, ingest: Ingest) -> None:
        """Bring a layer's blob into the store."""
        try:
            with self._open(ingest.descriptor.digest).open("rb") as file:
                file.seek(ingest.size)
                while chunk := file.read(_CHUNK):
                    ingest.write(chunk)
            ingest.finish()
        except OSError as error:
            raise self._refused(error) from error


def _names(entry: Descriptor, tag: str) -> bool:
    return entry.annotations.get(REF_NAME, "").rpartition(":")[2] == tag


def _one_image(entries: Sequence[Descriptor]) -> bool:
    """Tell whether entries are one image for several platforms."""
    return all(
        entry.platform is not None and REF_NAME not in entry.annotations for entry in entries
    )


def _best(entries: Sequence[Descriptor], platform: Platform) -> Descriptor | None:
    ranked = [
        (0 if entry.platform is None else platform.rank(entry.platform), number)
        for number, entry in enumerate(entries)
    ]
    fitting = [(rank, number) for rank, number in ranked if rank is not None]
    return entries[min(fitting)[1]] if fitting else None
