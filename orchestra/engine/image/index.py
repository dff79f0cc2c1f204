"""index.json of the store: which reference names which manifest, with annotations.

An OCI image layout's own file (image-layout.md), read afresh at each use and replaced whole under
a lock, so that any number of processes may share the store and a killed one leaves it as it was.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from orchestra.engine.image.document import encode_descriptor, encode_json
from orchestra.engine.image.wire import parse_descriptor
from orchestra.engine.linux.directories import make_private
from orchestra.engine.state.atomic import write_atomic
from orchestra.errors import ImageError, LockError, StateError
from orchestra.oci.image import INDEX_OCI, REF_NAME, Descriptor
from orchestra.values import dataclass, field, replace

_LOCK_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A manifest or an index in the store; ``reference`` "" is what has lost its name."""

    reference: str
    descriptor: Descriptor
    annotations: Mapping[str, str] = field(default_factory=dict)


class StoreIndex:
    """The file and its lock; made on first write."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._path = directory / "index.json"
        self._known: tuple[tuple[int, int, int], tuple[Entry, ...]] | None = None

    def read(self) -> tuple[Entry, ...]:
        """Return every entry, by reference; a file that has not changed is read once.

        :raises StateError: when the file is damaged or cannot be read.
        """
        try:
            status = self._path.stat()
            signature = status.st_ino, status.st_mtime_ns, status.st_size
            if self._known and self._known[0] == signature:
                return self._known[1]
            document = json.loads(self._path.read_bytes())
            manifests = document["manifests"]
            entries = tuple(sorted((_entry(value) for value in manifests), key=_key))
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except (OSError, ValueError, KeyError, TypeError, ImageError) as err:
            raise StateError(
                f'cannot read "{self._path}": {err}',
                hint="the file is damaged; move it away and pull or build the images again",
            ) from err
        self._known = signature, entries
        return entries

    @contextmanager
    def change(self) -> Iterator[list[Entry]]:
        """Give the entries to change in place; they are written when the block ends well.

        :raises StateError: when the file cannot be read or written.
        :raises LockError: when another process keeps the lock.
        """
        with self._locked():
            entries = list(self.read())
            before = list(entries)
            yield entries
            if entries != before:
                self._write(entries)

    def _write(self, entries: Iterable[Entry]) -> None:
        layout = self._directory / "oci-layout"
        if not layout.exists():
            write_atomic(layout, b'{"imageLayoutVersion":"1.0.0"}')
        manifests = [_document(entry) for entry in sorted(entries, key=_key)]
        document = {"schemaVersion": 2, "mediaType": INDEX_OCI, "manifests": manifests}
        write_atomic(self._path, encode_json(document))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock for the few milliseconds of one change."""
        try:
            make_private(self._directory)
            path = self._directory / "lock"
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as err:
            raise StateError(
                f'cannot open the image store "{self._directory}": {err.strerror}',
                hint="run the command as root, or set ORCHESTRA_DATA to a directory of yours",
            ) from err
        try:
            deadline = time.monotonic() + _LOCK_SECONDS
            while not _try_lock(fd):
                if time.monotonic() > deadline:
                    raise LockError(f'cannot lock the image store "{self._directory}"')
                time.sleep(0.005)
            yield
        finally:
            os.close(fd)


def with_name(
    entries: Sequence[Entry], new: Entry, covered: Callable[[Entry], bool]
) -> list[Entry]:
    """Return the entries with ``new``; who loses a name to it, and has no other, stays nameless.

    What ``new`` covers has nothing left to stay for.
    """
    others = [entry for entry in entries if not entry.reference or entry.reference != new.reference]
    lost = [
        Entry(reference="", descriptor=entry.descriptor)
        for entry in entries
        if entry.reference and entry.reference == new.reference and not covered(entry)
    ]
    everything = [new, *others, *lost]
    named = {entry.descriptor.digest for entry in everything if entry.reference}
    nameless = {
        entry.descriptor.digest: entry
        for entry in everything
        if not entry.reference and entry.descriptor.digest not in named
    }
    return [entry for entry in everything if entry.reference] + list(nameless.values())


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _key(entry: Entry) -> tuple[str, str]:
    return entry.reference, entry.descriptor.digest


def _entry(value: object) -> Entry:
    descriptor = parse_descriptor(value)
    annotations = dict(descriptor.annotations)
    reference = annotations.pop(REF_NAME, "")
    bare = replace(descriptor, annotations={})
    return Entry(reference=reference, descriptor=bare, annotations=annotations)


def _document(entry: Entry) -> dict[str, object]:
    document = encode_descriptor(entry.descriptor)
    annotations = dict(entry.annotations)
    if entry.reference:
        annotations[REF_NAME] = entry.reference
    if annotations:
        document["annotations"] = annotations
    return document
