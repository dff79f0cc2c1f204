"""What an index leads to: manifests of every platform, indexes within it, attestations. Pure.

What was pulled stays as it is: of an index in the store, the manifests of the platforms that were
asked for are here, and the others are known by their descriptors alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from orchestra.engine.image.wire import Index, Manifest, parse_document
from orchestra.errors import ImageError
from orchestra.oci.digest import Digest
from orchestra.oci.image import INDEX_DOCKER, INDEX_OCI, Descriptor, Image
from orchestra.oci.platform import Platform
from orchestra.values import dataclass

REFERENCE_TYPE = "vnd.docker.reference.type"
"""Annotation of an index's entry: it is no image, but tells of one."""
REFERENCE_DIGEST = "vnd.docker.reference.digest"
"""Annotation of an index's entry: the manifest that it tells of."""
ATTESTATION = "attestation-manifest"
_INDEXES = frozenset({INDEX_OCI, INDEX_DOCKER})
_DEPTH_MAX = 4
_ATTESTATIONS_MAX = 4
_NODES_MAX = 5000
SMALL_BYTES = 1 << 16
"""What is worth keeping of documents; they may have 4 MiB."""


@dataclass(frozen=True, slots=True)
class Node:
    """One document of an index; ``document`` None: it is not here, or nothing that we know."""

    descriptor: Descriptor
    document: Manifest | Index | None
    present: bool

    @property
    def digests(self) -> Iterator[Digest]:
        """Return the digests of the document, and of what it is made of."""
        yield self.descriptor.digest
        if isinstance(self.document, Manifest):
            yield self.document.config.digest
            yield from (layer.digest for layer in self.document.layers)


def is_index(descriptor: Descriptor) -> bool:
    """Tell whether a descriptor is that of an index."""
    return descriptor.media_type in _INDEXES


def is_image(descriptor: Descriptor) -> bool:
    """Tell whether an index's entry may be an image, and not something that tells of one."""
    platform = descriptor.platform
    unknown = platform is not None and platform.os == "unknown"
    return REFERENCE_TYPE not in descriptor.annotations and not unknown


def attestations_of(index: Manifest | Index, manifest: Digest) -> tuple[Descriptor, ...]:
    """Return the entries of an index that tell of an image of it, some few at most."""
    entries = index.manifests if isinstance(index, Index) else ()
    return tuple(
        entry
        for entry in entries
        if entry.annotations.get(REFERENCE_TYPE) == ATTESTATION
        and entry.annotations.get(REFERENCE_DIGEST) == manifest
    )[:_ATTESTATIONS_MAX]


def walk(top: Descriptor, read: Callable[[Descriptor], bytes | None]) -> Iterator[Node]:
    """Yield a document and all that it leads to, in order; each once.

    ``read`` returns a document that is here, None for what is not.

    :raises ImageError: when indexes are nested too deeply, or there is too much in them.
    """
    seen: set[Digest] = set()
    todo = [(top, 0)]
    while todo:
        descriptor, depth = todo.pop()
        if descriptor.digest in seen:
            continue
        seen.add(descriptor.digest)
        if len(seen) > _NODES_MAX or depth > _DEPTH_MAX:
            raise ImageError(f"cannot use {top.digest[:19]}: its indexes are nested too deeply")
        data = read(descriptor)
        document = _parsed(data, descriptor.media_type)
        yield Node(descriptor, document, data is not None)
        if isinstance(document, Index):
            todo += [(entry, depth + 1) for entry in reversed(document.manifests)]


def _parsed(data: bytes | None, media_type: str) -> Manifest | Index | None:
    if data is None:
        return None
    try:
        return (_known if len(data) <= SMALL_BYTES else parse_document)(data, media_type)
    except ImageError:
        return None


@lru_cache(maxsize=64)
def _known(data: bytes, media_type: str) -> Manifest | Index:
    """Return what a small document says: the same ones are asked for at each start."""
    return parse_document(data, media_type)


def best_of(images: Iterable[Image], platform: Platform) -> Image | None:
    """Return the image that suits a platform best; the first one where none is exact."""
    ranked = [
        (rank, position, image)
        for position, image in enumerate(images)
        if (rank := platform.rank(image.config.platform)) is not None
    ]
    return min(ranked, key=lambda one: one[:2])[2] if ranked else None
