"""Images as one archive: an OCI layout and docker's manifest.json over the same blobs.

docker load (all versions), podman and skopeo (docker-archive and oci-archive) read it. The same
images give the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence

from orchestra.engine.image.catalogue import Catalogue
from orchestra.engine.image.document import encode_descriptor, encode_json
from orchestra.engine.image.store import ImageStore
from orchestra.engine.image.tar import BLOCK, DIRECTORY, Member, encode_member
from orchestra.errors import ImageError
from orchestra.oci.digest import Digest, hex_of
from orchestra.oci.image import INDEX_OCI, REF_NAME, WHOLE_NAME, Descriptor, Image
from orchestra.oci.platform import Platform
from orchestra.oci.reference import ImageRef
from orchestra.values import dataclass

_PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Saved:
    """What is saved, and the names that it is saved under.

    ``target`` is a manifest or an index, ``image`` the one that docker's list tells of.
    """

    image: Image
    target: Descriptor
    names: tuple[ImageRef, ...]


def saved_of(
    store: ImageStore, texts: Iterable[str], platform: Platform | None = None
) -> tuple[Saved, ...]:
    """Return what texts name: an image, its id, or a repository for all of its tags.

    An index is saved as it is, and of what it names, what is here; with ``platform`` the one image.

    :raises ImageError: when there is no such image.
    """
    catalogue = Catalogue(store)
    images: dict[Digest, Image] = {}
    names: dict[Digest, list[ImageRef]] = {}
    for text in texts:
        every = [line.name for line in catalogue.all_named(text)]
        for found in (catalogue.find(name, platform) for name in every or [text]):
            one = platform is not None or found.reference is None
            digest = found.image.manifest if one else found.target
            images[digest] = found.image
            own = names.setdefault(digest, [])
            if found.reference is not None and found.reference.tag and found.reference not in own:
                own.append(found.reference)
    return tuple(
        Saved(image, store.describe(digest), tuple(names[digest]))
        for digest, image in images.items()
    )


def archive_of(
    store: ImageStore, images: Sequence[Saved], *, docker: bool = True
) -> Iterator[bytes]:
    """Yield the archive of some images; a damaged blob is noticed by whoever loads it.

    Without ``docker`` it is an OCI layout and nothing else.

    :raises ImageError: when a blob is missing.
    """
    for name in ("blobs", "blobs/sha256"):
        yield encode_member(Member(name=f"{name}/", kind=DIRECTORY, mode=0o755))
    for digest in blobs_of(store, images):
        yield from _blob(store, digest)
    index = {"schemaVersion": 2, "mediaType": INDEX_OCI, "manifests": entries_of(images)}
    yield from _file("index.json", encode_json(index))
    if docker:
        yield from _file("manifest.json", _manifest(images))
    yield from _file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    yield bytes(2 * BLOCK)


def blobs_of(store: ImageStore, images: Iterable[Saved]) -> tuple[Digest, ...]:
    """Return the digest of every blob of some images that is here, in order."""
    blobs: set[Digest] = set()
    for saved in images:
        for node in store.nodes(saved.target):
            blobs.update(node.digests if node.present else ())
    return tuple(sorted(blobs))


def _blob(store: ImageStore, digest: Digest) -> Iterator[bytes]:
    size = store.blob_size(digest)
    with store.open_blob(digest) as file:
        yield encode_member(Member(name=f"blobs/sha256/{hex_of(digest)}", size=size, mode=0o444))
        left = size
        while left:
            piece = file.read(min(left, _PIECE_BYTES))
            if not piece:
                raise ImageError(f"blob {digest[:19]} is damaged on disk")
            left -= len(piece)
            yield piece
        yield bytes(-size % BLOCK)


def _file(name: str, data: bytes) -> Iterator[bytes]:
    yield encode_member(Member(name=name, size=len(data), mode=0o444))
    yield data
    yield bytes(-len(data) % BLOCK)


def entries_of(images: Sequence[Saved]) -> list[dict[str, object]]:
    """Return a layout's index: an entry for each name, or one for an image without any."""
    entries: list[dict[str, object]] = []
    for saved in images:
        entry = encode_descriptor(saved.target)
        for name in saved.names:
            notes = {WHOLE_NAME: str(name), REF_NAME: name.tag or str(name)}
            entries.append({**entry, "annotations": notes})
        if not saved.names:
            entries.append(entry)
    return entries


def _manifest(images: Sequence[Saved]) -> bytes:
    """Write docker's list (image/tarexport): paths of config and layers, lowest first."""
    entries = [
        {
            "Config": f"blobs/sha256/{hex_of(saved.image.id)}",
            "RepoTags": [name.familiar for name in saved.names if name.tag] or None,
            "Layers": [
                f"blobs/sha256/{hex_of(layer.descriptor.digest)}" for layer in saved.image.layers
            ],
        }
        for saved in images
    ]
    return json.dumps(entries, separators=(",", ":")).encode()
