"""Evidence of settled builds, as the builder writes it down: what a glance needs (evidence.py)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.engine.build.evidence import DIRECTORY, UNSEEN, digest_at, index_at
from orchestra.engine.state.plain import NotPlainError
from orchestra.oci.digest import Digest, hex_of, parse_digest
from orchestra.oci.platform import parse_platform
from orchestra.oci.reference import parse_reference

if TYPE_CHECKING:
    from orchestra.engine.build.cache import BuildCache
    from orchestra.engine.build.looking import Look
    from orchestra.engine.image.store import ImageStore
    from orchestra.engine.state.codec import Json
    from orchestra.oci.image import Image, Layer


class Witness:
    """Gathers what stands for the result of one look: documents, layers, records, names."""

    def __init__(self, look: Look, store: ImageStore, cache: BuildCache) -> None:
        self._look = look
        self._store = store
        self._cache = cache
        self._files = dict(look.files or {})
        self._sizes: dict[str, int] = {}
        self._names: dict[str, str] = {}

    def evidence(
        self, image: Image, bases: Mapping[str, str], steps: Mapping[str, str]
    ) -> dict[str, Json] | None:
        """Return evidence of a build that gave ``image``; None where it would not be complete.

        :raises ImageError: when something is gone already.
        :raises OSError, ValueError: likewise.
        """
        if self._look.files is None:
            return None
        self._image(image)
        known = [self._base(name, at) for name, at in bases.items()]
        if not all(known + [self._step(key) for key in steps]):
            return None
        trees = self._trees()
        if trees is None or not self._named(image):
            return None
        return {
            "files": dict(self._files),
            "kinds": {tree.layers[0]: DIRECTORY for tree in self._look.trees.values()},
            "sizes": dict(self._sizes),
            "names": dict(self._names),
            "notes": {},
            "trees": trees,
        }

    def _named(self, image: Image) -> bool:
        """Add the image's names; False when names lead elsewhere than the index says."""
        for name in self._look.names:
            self._names[str(parse_reference(name))] = image.manifest
        try:
            index = index_at(str(self._store.directory))
        except NotPlainError:
            return False
        return all(index.get(name, ("", ""))[0] == at for name, at in self._names.items())

    def _step(self, key: str) -> bool:
        """Add what the cache has for a step; False when it has nothing."""
        path = str(self._cache.path(key))
        self._files[path] = digest_at(path)
        record = self._cache.get(key)
        if record is not None and record.layer is not None:
            self._layer(record.layer)
        return record is not None

    def _trees(self) -> list[Json] | None:
        found: list[Json] = []
        for tree in self._look.trees.values():
            if tree.seen is None:
                return None
            self._files |= tree.seen.ignoring
            if not tree.seen.directories:
                continue  # nothing of it was asked for
            root = tree.layers[0]
            looks = tree.seen.looks(root)
            found.append(list(looks or (root, "", UNSEEN)))
        return found

    def _base(self, name: str, manifest: str) -> bool:
        """Add a base image; False when another one might take its place under its name."""
        platform, _, reference = name.partition(" ")
        target = self._store.target(reference)
        image = self._store.image_of(parse_digest(manifest))
        if target is None or image.config.platform != parse_platform(platform):
            return False
        self._names[str(parse_reference(reference))] = target.digest
        self._document(target.digest)
        self._document(image.manifest)
        self._document(image.id)
        return True

    def _image(self, image: Image) -> None:
        self._document(image.manifest)
        self._document(image.id)
        for layer in image.layers:
            self._layer(layer)

    def _document(self, digest: Digest) -> None:
        self._files[str(self._store.blob_path(digest))] = hex_of(digest)

    def _layer(self, layer: Layer) -> None:
        blob = layer.descriptor
        self._sizes[str(self._store.blob_path(blob.digest))] = blob.size


def digests_of_dockerfile(path: str, there: Path, text: str) -> dict[str, str] | None:
    """Return what is read where a Dockerfile is asked for at ``path`` and found ``there``.

    None when it is not text, so that nobody can tell what was read.
    """
    if "\ufffd" in text:
        return None
    found = {str(there): hashlib.sha256(text.encode()).hexdigest()}
    return found if str(there) == path else {path: "", **found}


def place_of(parts: Sequence[str]) -> str:
    """Return the key of what is known of a build before anything is looked at."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
