"""Images on this machine: an OCI image layout in ``Paths.images``, shared by every project.

Blobs lie under their digests and never change; index.json says which reference names which
manifest or index; of an index, what was asked for is here. Everything is written beside and
renamed, so a killed process leaves nothing half-made that a name leads to. Synchronous and quick;
imports nothing that costs, since every ``up`` looks here. The transfer of images is pull.py's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from orchestra.engine.image.blobs import BlobStore, missing
from orchestra.engine.image.index import Entry, StoreIndex, with_name
from orchestra.engine.image.tree import SMALL_BYTES, Node, best_of, is_image, is_index, walk
from orchestra.engine.image.wire import Manifest, parse_config, parse_document
from orchestra.engine.paths import Paths
from orchestra.errors import ImageError
from orchestra.oci.digest import Digest
from orchestra.oci.image import Descriptor, Image, Layer
from orchestra.oci.platform import Platform, platform_of_machine
from orchestra.oci.reference import ImageRef, parse_reference
from orchestra.values import replace

SOURCE_DIGEST = "org.orchestra.source.digest"
"""Annotation: the digest that the registry gave for the reference (of an index, often)."""
_DOCUMENTS_MAX = 64


class StoredImage(NamedTuple):
    """One line of ``orchestra images``; ``reference`` "" is an image that has lost its name.

    ``target`` is the manifest, or the index that holds ``images``; of these ``image`` suits this
    machine best.
    """

    reference: str
    image: Image
    target: Descriptor
    images: tuple[Image, ...]
    annotations: Mapping[str, str] = MappingProxyType({})


class ImageStore(BlobStore):
    """The store at ``paths.images``; stateless but for what cannot change."""

    def __init__(self, paths: Paths) -> None:
        super().__init__(Path(paths.images))
        self._index = StoreIndex(self.directory)
        self._images: dict[Digest, Image] = {}
        self._documents: dict[Digest, bytes] = {}
        self._platform = platform_of_machine(os.uname().machine)

    def get(self, reference: str, platform: Platform | None = None) -> Image | None:
        """Return the image that a reference names, None when it is not here.

        Of an index it is the image for ``platform``; without one, that for this machine, or else
        the first. A reference by digest also finds an image that was pulled by tag and is that
        very one, or is in that very index.

        :raises ImageError: when the reference is malformed, or a blob is missing or damaged.
        """
        wanted = parse_reference(reference)
        entry = self._find(wanted)
        if entry is None:
            return None
        images = self.images_of(entry.descriptor)
        if not images:
            raise ImageError(
                f'cannot use "{reference}": no image of its index is in the store',
                hint="pull it again",
            )
        exact = tuple(image for image in images if image.manifest == wanted.digest)
        if platform is not None:
            return best_of(exact or images, platform)
        return self._best(exact or images)

    def target(self, reference: str) -> Descriptor | None:
        """Return the manifest or the index that a reference names, None when it is not here.

        :raises ImageError: when the reference is malformed.
        """
        entry = self._find(parse_reference(reference))
        return entry.descriptor if entry else None

    def by_id(self, image_id: str) -> Image | None:
        """Return the image with this id (digest of its config), named or not."""
        for entry in self._index.read():
            for image in self._readable(entry.descriptor):
                if image.id == image_id:
                    return image
        return None

    def list(self) -> tuple[StoredImage, ...]:
        """Return every image, by reference, the nameless first; damaged ones are left out."""
        found = ((entry, self._readable(entry.descriptor)) for entry in self._index.read())
        return tuple(
            StoredImage(
                entry.reference, self._best(images), entry.descriptor, images, entry.annotations
            )
            for entry, images in found
            if images
        )

    def images_of(self, target: Descriptor) -> tuple[Image, ...]:
        """Return the images of a manifest or an index that are here; of an index the whole ones.

        :raises ImageError: when the document itself is missing or damaged.
        """
        if not is_index(target):
            return (self.image_of(target.digest),)
        images = []
        for node in self.nodes(target):
            if isinstance(node.document, Manifest) and is_image(node.descriptor):
                with suppress(ImageError):
                    images.append(self.image_of(node.descriptor.digest))
        return tuple(images)

    def nodes(self, target: Descriptor) -> tuple[Node, ...]:
        """Return a manifest or an index, and all that it leads to, here or not.

        :raises ImageError: when the document itself is missing or damaged.
        """

        def read(descriptor: Descriptor) -> bytes | None:
            here = descriptor is target or self.has_blob(descriptor.digest, descriptor.size)
            try:
                return self._document(descriptor.digest) if here else None
            except ImageError:
                if descriptor is target:
                    raise
                return None

        return tuple(walk(target, read))

    def describe(self, digest: Digest) -> Descriptor:
        """Return the descriptor of a manifest or an index that is here.

        :raises ImageError: when it is missing, damaged or neither.
        """
        data = self.read_blob(digest)
        kind = parse_document(data).media_type
        return Descriptor(media_type=kind, digest=digest, size=len(data))

    def own(self, images: Iterable[Image]) -> Image | None:
        """Return the one of some images that suits this machine best, None when none does."""
        return best_of(images, self._platform)

    def _best(self, images: tuple[Image, ...]) -> Image:
        return self.own(images) or images[0]

    def annotations(self, reference: str) -> Mapping[str, str]:
        """Return what was noted beside a reference (a build's hash); empty when there is none."""
        entry = self._find(parse_reference(reference))
        return entry.annotations if entry else {}

    def image_of(self, manifest: Digest) -> Image:
        """Return the image of a manifest in the store, every document checked by its digest.

        :raises ImageError: when a blob is missing or damaged.
        """
        image = self._images.get(manifest)
        if image is None:
            image = self._images[manifest] = self._load(manifest)
        return image

    def add_image(
        self,
        manifest: bytes,
        *,
        reference: str | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> Image:
        """Put an image's manifest in the store and name it; its other blobs must be there.

        :raises ImageError: when a blob is missing, or the documents do not agree.
        """
        image = self.add_manifest(manifest)
        self._name(image.manifest, reference, annotations)
        return image

    def add_manifest(self, manifest: bytes) -> Image:
        """Put an image's manifest in the store and name it not; its other blobs must be there.

        :raises ImageError: when a blob is missing, or the documents do not agree.
        """
        image = self.image_of(self.put_blob(manifest))
        for layer in image.layers:
            if not self.has_blob(layer.descriptor.digest, layer.descriptor.size):
                raise missing(layer.descriptor.digest)
        return image

    def add_index(
        self,
        index: bytes,
        *,
        reference: str | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> Image:
        """Put an index in the store and name it; some image of it must be there.

        Return that of its images which suits this machine best.

        :raises ImageError: when there is none, or it is no index.
        """
        digest = self.put_blob(index)
        images = self.images_of(self.describe(digest))
        if not images:
            raise ImageError(f"cannot use {digest[:19]}: no image of it is in the store")
        self._name(digest, reference, annotations)
        return self._best(images)

    def tag(
        self, target: Digest, reference: str, *, annotations: Mapping[str, str] | None = None
    ) -> None:
        """Let a reference name a manifest or an index of the store, and no longer what it named.

        The image that loses its last name stays, nameless, until it is swept.

        :raises ImageError: when that is not here, or the reference is malformed.
        """
        self.images_of(self.describe(target))
        self._name(target, reference, annotations)

    def untag(self, reference: str) -> bool:
        """Forget a reference, and its image when nothing else names it; True when it was there.

        Blobs and layers stay until the next sweep (prune.py).
        """
        name = str(parse_reference(reference))
        with self._index.change() as entries:
            kept = [entry for entry in entries if entry.reference != name]
            found = len(kept) != len(entries)
            entries[:] = kept
        return found

    def forget(self, chosen: Callable[[Entry], bool]) -> None:
        """Take entries out of the index; their blobs stay until the next sweep."""
        with self._index.change() as entries:
            entries[:] = [entry for entry in entries if not chosen(entry)]

    def ids_of(self, entry: Entry) -> frozenset[str]:
        """Return the ids of an entry's images; none when it is damaged."""
        return frozenset(image.id for image in self._readable(entry.descriptor))

    def note(self, reference: str, annotations: Mapping[str, str]) -> None:
        """Note more beside a reference; what was noted before stays."""
        name = str(parse_reference(reference))
        with self._index.change() as entries:
            entries[:] = [
                replace(entry, annotations={**entry.annotations, **annotations})
                if entry.reference == name
                else entry
                for entry in entries
            ]

    def drop_temporaries(self) -> None:
        """Remove what killed writers left beside blobs and index; nobody may be writing blobs."""
        with self._index.change():
            for path in (*self._blobs.glob(".*"), *self.directory.glob(".*")):
                with suppress(OSError):
                    path.unlink()

    def _find(self, wanted: ImageRef) -> Entry | None:
        entries = self._index.read()
        name = str(wanted)
        for entry in entries:
            if entry.reference == name:
                return entry
        if wanted.digest is None:
            return None
        for entry in entries:
            if entry.reference and self._leads_to(entry, wanted.digest):
                known = parse_reference(entry.reference)
                if (known.registry, known.repository) == (wanted.registry, wanted.repository):
                    return entry
        return None

    def _leads_to(self, entry: Entry, digest: Digest) -> bool:
        if digest in {entry.descriptor.digest, entry.annotations.get(SOURCE_DIGEST)}:
            return True
        images = self._readable(entry.descriptor) if is_index(entry.descriptor) else ()
        return any(image.manifest == digest for image in images)

    def _name(
        self, target: Digest, reference: str | None, annotations: Mapping[str, str] | None
    ) -> None:
        name = str(parse_reference(reference)) if reference else ""
        descriptor = self.describe(target)
        new = Entry(reference=name, descriptor=descriptor, annotations=dict(annotations or {}))
        ids = self.ids_of(new)
        with self._index.change() as entries:
            entries[:] = with_name(
                entries,
                new,
                # What holds no image that the new one has not leaves no nameless twin of it.
                covered=lambda old: is_index(descriptor) and self.ids_of(old) <= ids,
            )

    def _readable(self, target: Descriptor) -> tuple[Image, ...]:
        try:
            return self.images_of(target)
        except ImageError:
            return ()

    def _document(self, digest: Digest) -> bytes:
        """Return a document; a small one that is still there is read once, as it cannot change.

        :raises ImageError: when it is missing, too large or damaged.
        """
        known = self._documents.get(digest)
        if known is not None and self.has_blob(digest, len(known)):
            return known
        data = self.read_blob(digest)
        if len(data) <= SMALL_BYTES:
            if len(self._documents) >= _DOCUMENTS_MAX:
                self._documents.clear()
            self._documents[digest] = data
        return data

    def _manifest(self, digest: Digest) -> Manifest:
        document = parse_document(self.read_blob(digest))
        if not isinstance(document, Manifest):
            raise ImageError(f"cannot use {digest[:19]}: it is an index, not an image")
        return document

    def _load(self, digest: Digest) -> Image:
        return make_image(digest, self._manifest(digest), self.read_blob)


def make_image(digest: Digest, manifest: Manifest, read_config: Callable[[Digest], bytes]) -> Image:
    """Put an image together from its manifest and its config.

    :raises ImageError: when config and manifest do not tell of the same layers.
    """
    config = parse_config(read_config(manifest.config.digest))
    if len(config.diff_ids) != len(manifest.layers):
        raise ImageError(
            f"the image's manifest has {len(manifest.layers)} layers, "
            f"its config {len(config.diff_ids)}"
        )
    layers = tuple(
        Layer(diff_id=diff_id, descriptor=descriptor)
        for diff_id, descriptor in zip(config.diff_ids, manifest.layers, strict=True)
    )
    return Image(id=manifest.config.digest, manifest=digest, config=config, layers=layers)
