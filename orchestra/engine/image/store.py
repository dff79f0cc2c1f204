"""Images on this machine: an OCI image layout in ``Paths.images``, shared by every project.

Blobs lie under their digests and never change; index.json says which reference names which
manifest. Everything is written beside and renamed, so a killed process leaves nothing half-made
that a name leads to. Synchronous and quick; imports nothing that costs, since every ``up`` looks
here. The transfer of images is pull.py's.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, NamedTuple

from orchestra.engine.image.index import Entry, StoreIndex
from orchestra.engine.image.wire import Manifest, parse_config, parse_document
from orchestra.engine.linux.directories import make_private
from orchestra.engine.paths import Paths
from orchestra.engine.state.store import write_atomic
from orchestra.errors import ImageError, StateError
from orchestra.oci.digest import Digest, digest_of, hex_of, parse_digest
from orchestra.oci.image import MANIFEST_BYTES_MAX, Descriptor, Image, Layer
from orchestra.oci.reference import ImageRef, parse_reference
from orchestra.values import replace

SOURCE_DIGEST = "org.orchestra.source.digest"
"""Annotation: the digest that the registry gave for the reference (of an index, often)."""


class StoredImage(NamedTuple):
    """One line of ``orchestra images``; ``reference`` "" is an image that has lost its name."""

    reference: str
    image: Image
    annotations: Mapping[str, str] = MappingProxyType({})


class ImageStore:
    """The store at ``paths.images``; stateless but for what cannot change."""

    def __init__(self, paths: Paths) -> None:
        self.directory = Path(paths.images)
        self._blobs = self.directory / "blobs" / "sha256"
        self._index = StoreIndex(self.directory)
        self._images: dict[Digest, Image] = {}

    def get(self, reference: str) -> Image | None:
        """Return the image that a reference names, None when it is not here.

        A reference by digest also finds an image that was pulled by tag and is that very one.

        :raises ImageError: when the reference is malformed, or a blob is missing or damaged.
        """
        entry = self._find(parse_reference(reference))
        return self.image_of(entry.descriptor.digest) if entry else None

    def by_id(self, image_id: str) -> Image | None:
        """Return the image with this id (digest of its config), named or not."""
        for entry in self._index.read():
            image = self._readable(entry.descriptor.digest)
            if image is not None and image.id == image_id:
                return image
        return None

    def list(self) -> tuple[StoredImage, ...]:
        """Return every image, by reference, the nameless first; damaged ones are left out."""
        images = ((entry, self._readable(entry.descriptor.digest)) for entry in self._index.read())
        return tuple(
            StoredImage(entry.reference, image, entry.annotations)
            for entry, image in images
            if image is not None
        )

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
        digest = self.put_blob(manifest)
        image = self.image_of(digest)
        for layer in image.layers:
            if not self.has_blob(layer.descriptor.digest, layer.descriptor.size):
                raise _missing(layer.descriptor.digest)
        self._name(digest, len(manifest), reference, annotations)
        return image

    def tag(
        self, manifest: Digest, reference: str, *, annotations: Mapping[str, str] | None = None
    ) -> None:
        """Let a reference name a manifest of the store, and no longer what it named before.

        The image that loses its last name stays, nameless, until it is swept.

        :raises ImageError: when the manifest is not here, or the reference is malformed.
        """
        self.image_of(manifest)
        self._name(manifest, self._path(manifest).stat().st_size, reference, annotations)

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

    def put_blob(self, data: bytes) -> Digest:
        """Store some bytes under their digest.

        :raises StateError: when they cannot be written.
        """
        digest = digest_of(data)
        if not self.has_blob(digest, len(data)):
            self._prepare()
            write_atomic(self._path(digest), data)
        return digest

    def has_blob(self, digest: Digest, size: int | None = None) -> bool:
        """Tell whether a blob is here, whole as far as its size tells."""
        try:
            status = self._path(digest).stat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        return size is None or status.st_size == size

    def blob_size(self, digest: Digest) -> int:
        """Return how many bytes a blob has on disk, 0 when it is not here."""
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError:
            return 0

    def open_blob(self, digest: Digest) -> BinaryIO:
        """Open a blob to read; whoever reads it checks it.

        :raises ImageError: when it is not here.
        """
        try:
            return self._path(digest).open("rb")
        except FileNotFoundError as err:
            raise _missing(digest) from err

    def read_blob(self, digest: Digest) -> bytes:
        """Return a document (at most 4 MiB), checked by its digest.

        :raises ImageError: when it is missing, too large or damaged.
        """
        with self.open_blob(digest) as file:
            data = file.read(MANIFEST_BYTES_MAX + 1)
        if len(data) > MANIFEST_BYTES_MAX or digest_of(data) != digest:
            self.drop_blob(digest)
            raise ImageError(
                f"cannot use blob {digest[:19]}: it is damaged on disk",
                hint="pull or build the image again",
            )
        return data

    def blob_path(self, digest: Digest) -> Path:
        """Return where a blob lies, or would lie."""
        return self._path(digest)

    def drop_blob(self, digest: Digest) -> None:
        """Remove a blob that is damaged or no longer wanted."""
        with suppress(OSError):
            self._path(digest).unlink(missing_ok=True)

    def blobs(self) -> tuple[Digest, ...]:
        """Return the digest of every blob, by name."""
        try:
            names = sorted(path.name for path in self._blobs.iterdir())
        except FileNotFoundError:
            return ()
        return tuple(parse_digest(f"sha256:{name}") for name in names if len(name) == 64)

    def incoming(self, name: str) -> Path:
        """Return where a blob is gathered before it has its place, ``ingest/NAME``.

        :raises StateError: when the directory cannot be made.
        """
        self._prepare()
        return self.directory / "ingest" / name

    def _prepare(self) -> None:
        """Make the store's directories, for nobody else to enter."""
        try:
            make_private(self.directory.parent)
            for directory in (
                self.directory,
                self.directory / "ingest",
                self._blobs.parent,
                self._blobs,
            ):
                directory.mkdir(exist_ok=True, mode=0o700)
        except OSError as err:
            raise StateError(
                f'cannot write to the image store "{self.directory}": {err.strerror}',
                hint="run the command as root, or set ORCHESTRA_DATA to a directory of yours",
            ) from err

    def keep_incoming(self, path: Path, digest: Digest) -> None:
        """Give a gathered file, written through to the disk and checked, its place as a blob."""
        path.replace(self._path(digest))

    @contextmanager
    def writing(self, *, exclusive: bool = False) -> Iterator[bool]:
        """Mark that blobs are on their way which no reference leads to yet; a sweep keeps off.

        A sweep asks for ``exclusive``, and gets False when somebody else is writing.
        """
        path = self.incoming("lock")
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
                fcntl.flock(fd, kind | (fcntl.LOCK_NB if exclusive else 0))
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(fd)

    def forget(self, chosen: Callable[[Entry], bool]) -> None:
        """Take entries out of the index; their blobs stay until the next sweep."""
        with self._index.change() as entries:
            entries[:] = [entry for entry in entries if not chosen(entry)]

    def id_of(self, entry: Entry) -> str:
        """Return the id of an entry's image, "" when it is damaged."""
        image = self._readable(entry.descriptor.digest)
        return image.id if image is not None else ""

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

    def _path(self, digest: Digest) -> Path:
        return self._blobs / hex_of(parse_digest(digest))

    def _find(self, wanted: ImageRef) -> Entry | None:
        entries = self._index.read()
        name = str(wanted)
        for entry in entries:
            if entry.reference == name:
                return entry
        if wanted.digest is None:
            return None
        for entry in entries:
            if entry.reference and wanted.digest in {
                entry.descriptor.digest,
                entry.annotations.get(SOURCE_DIGEST),
            }:
                known = parse_reference(entry.reference)
                if (known.registry, known.repository) == (wanted.registry, wanted.repository):
                    return entry
        return None

    def _name(
        self,
        manifest: Digest,
        size: int,
        reference: str | None,
        annotations: Mapping[str, str] | None,
    ) -> None:
        name = str(parse_reference(reference)) if reference else ""
        document = self._manifest(manifest)
        descriptor = Descriptor(media_type=document.media_type, digest=manifest, size=size)
        new = Entry(reference=name, descriptor=descriptor, annotations=dict(annotations or {}))
        with self._index.change() as entries:
            entries[:] = _with_name(entries, new)

    def _readable(self, manifest: Digest) -> Image | None:
        try:
            return self.image_of(manifest)
        except ImageError:
            return None

    def _manifest(self, digest: Digest) -> Manifest:
        document = parse_document(self.read_blob(digest))
        if not isinstance(document, Manifest):
            raise ImageError(f"cannot use {digest[:19]}: it is an index, not an image")
        return document

    def _load(self, digest: Digest) -> Image:
        return make_image(digest, self._manifest(digest), self.read_blob)


def _with_name(entries: Sequence[Entry], new: Entry) -> list[Entry]:
    """Return the entries with ``new``; who loses a name to it, and has no other, stays nameless."""
    others = [entry for entry in entries if not entry.reference or entry.reference != new.reference]
    lost = [
        Entry(reference="", descriptor=entry.descriptor)
        for entry in entries
        if entry.reference and entry.reference == new.reference
    ]
    everything = [new, *others, *lost]
    named = {entry.descriptor.digest for entry in everything if entry.reference}
    nameless = {
        entry.descriptor.digest: entry
        for entry in everything
        if not entry.reference and entry.descriptor.digest not in named
    }
    return [entry for entry in everything if entry.reference] + list(nameless.values())


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
    size = sum(layer.descriptor.size for layer in layers) + manifest.config.size
    return Image(
        id=manifest.config.digest, manifest=digest, config=config, layers=layers, size_bytes=size
    )


def _missing(digest: Digest) -> ImageError:
    return ImageError(
        f"cannot use blob {digest[:19]}: it is not in the store",
        hint="pull or build the image again",
    )
