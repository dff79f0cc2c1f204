"""Blobs of the store -> an OCI image layout in a directory (image-layout.md).

A layout that is there is added to: an entry takes the place of the one with its name. Every file
is written beside its name and renamed, the index last. Blocking.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from orchestra.engine.image.document import encode_json
from orchestra.engine.image.store import ImageStore
from orchestra.errors import ImageError
from orchestra.oci.digest import Digest, hex_of
from orchestra.oci.image import INDEX_OCI, MANIFEST_BYTES_MAX, REF_NAME

Entry = Mapping[str, object]


def write_layout(
    store: ImageStore, directory: Path, blobs: Iterable[Digest], entries: Sequence[Entry]
) -> None:
    """Write blobs, and an index that leads to them; ``entries`` are descriptors as JSON has them.

    :raises ImageError: when a blob is missing here, or the directory cannot be written.
    """
    try:
        place = directory / "blobs" / "sha256"
        place.mkdir(mode=0o755, parents=True, exist_ok=True)
        for digest in blobs:
            _copy(store, digest, place / hex_of(digest))
        with _locked(directory):
            _write(directory / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            new = {_name(entry) for entry in entries}
            kept = [entry for entry in _known(directory) if _name(entry) not in new]
            document = {"schemaVersion": 2, "mediaType": INDEX_OCI, "manifests": [*kept, *entries]}
            _write(directory / "index.json", encode_json(document))
    except OSError as err:
        raise ImageError(f'cannot write the image layout "{directory}": {err.strerror}') from err


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Let one write the index at a time: each adds to what is there."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _copy(store: ImageStore, digest: Digest, target: Path) -> None:
    if target.is_file() and target.stat().st_size == store.blob_size(digest):
        return
    temporary = target.with_name(f".{secrets.token_hex(8)}")
    try:
        with store.open_blob(digest) as source, temporary.open("xb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _write(target: Path, data: bytes) -> None:
    temporary = target.with_name(f".{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fdatasync(file.fileno())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _known(directory: Path) -> list[Entry]:
    """Return the entries of an index that is there; none of one that cannot be understood."""
    try:
        with (directory / "index.json").open("rb") as file:
            document = json.loads(file.read(MANIFEST_BYTES_MAX))
        return [entry for entry in document["manifests"] if isinstance(entry, dict)]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []


def _name(entry: Entry) -> str:
    notes = entry.get("annotations")
    return str(notes.get(REF_NAME, "")) if isinstance(notes, dict) else ""
