"""The builder's cache: cache key -> the layer that a step made, one small file per key.

Keys are content: the layers below, the instruction as it was expanded, the digests of its inputs.
So equal steps on equal ground are done once, whatever file or project they come from. Records are
written atomically and may be read and written by any number of processes; one that is damaged, or
whose layer is gone, is a miss.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from orchestra.engine.build.workspace import make_private
from orchestra.errors import BuildError, ImageError
from orchestra.hashing import sha256_of
from orchestra.oci.digest import Digest, parse_digest
from orchestra.oci.image import Descriptor, Layer
from orchestra.values import dataclass

VERSION = 1
_RECORD_BYTES_MAX = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheRecord:
    """What a step left: its layer, None when it changed nothing; ``created`` is RFC 3339."""

    layer: Layer | None
    created: str


class Cache(Protocol):
    """Where the solver looks before it works."""

    def get(self, key: str) -> CacheRecord | None:
        """Return what is known of a key."""
        ...

    def put(self, key: str, record: CacheRecord) -> None:
        """Remember what a key gave."""
        ...


def cache_key(
    below: Sequence[Digest],
    platform: str,
    definition: Mapping[str, object],
    inputs: Sequence[str],
    scope: str = "",
) -> str:
    """Return the key of a step: 64 hex digits.

    ``scope`` is "" unless something that is not in the key may have changed the result (a proxy,
    a secret, a cache mount): then it names who may share it.
    """
    document = {
        "version": VERSION,
        "below": list(below),
        "platform": platform,
        "definition": definition,
        "inputs": list(inputs),
        "scope": scope,
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return sha256_of(text.encode())


class BuildCache:
    """Records in a directory of the data root."""

    def __init__(self, directory: PurePosixPath) -> None:
        self._directory = Path(directory)

    def path(self, key: str) -> Path:
        """Return where the record of a key lies, or would lie."""
        return self._directory / key[:2] / f"{key}.json"

    def get(self, key: str) -> CacheRecord | None:
        """Return what is known of a key; a record that cannot be understood is none."""
        try:
            with self.path(key).open("rb") as file:
                return _decode(json.loads(file.read(_RECORD_BYTES_MAX)))
        except (OSError, ValueError, ImageError):
            return None

    def records(self) -> Iterator[tuple[str, CacheRecord | None]]:
        """Yield every record by its key, in order; None is one that cannot be understood."""
        for path in sorted(self._directory.glob("*/*.json")):
            yield path.stem, self.get(path.stem)

    def drop(self, key: str, before: float) -> bool:
        """Forget a record that was written before a moment; tell whether it went."""
        path = self.path(key)
        try:
            if path.stat().st_mtime >= before:
                return False
        except FileNotFoundError:
            return False
        path.unlink(missing_ok=True)
        return True

    def put(self, key: str, record: CacheRecord) -> None:
        """Remember what a key gave.

        :raises BuildError: when the record cannot be written.
        """
        path = self.path(key)
        temporary = path.with_suffix(f".{os.urandom(6).hex()}")
        try:
            make_private(path.parent)
            with temporary.open("wb") as file:
                # not synced: one that a power cut tears is a miss
                file.write(json.dumps(_encode(record), sort_keys=True).encode())
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise BuildError(
                f'cannot write the build cache at "{path}": {error.strerror}'
            ) from error


def _encode(record: CacheRecord) -> dict[str, object]:
    layer = record.layer
    return {
        "version": VERSION,
        "created": record.created,
        "layer": None
        if layer is None
        else {
            "diff_id": layer.diff_id,
            "media_type": layer.descriptor.media_type,
            "digest": layer.descriptor.digest,
            "size": layer.descriptor.size,
        },
    }


def _decode(document: object) -> CacheRecord | None:
    match document:
        case {"version": int(version), "created": str(created), "layer": None} if (
            version == VERSION
        ):
            return CacheRecord(layer=None, created=created)
        case {
            "version": int(version),
            "created": str(created),
            "layer": {
                "diff_id": str(diff_id),
                "media_type": str(media_type),
                "digest": str(digest),
                "size": int(size),
            },
        } if version == VERSION:
            descriptor = Descriptor(media_type=media_type, digest=parse_digest(digest), size=size)
            layer = Layer(diff_id=parse_digest(diff_id), descriptor=descriptor)
            return CacheRecord(layer=layer, created=created)
        case _:
            return None
