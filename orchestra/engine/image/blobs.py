"""Blobs of the store: files under their digests, whole or not there; where they gather before that.

Synchronous and quick. What they mean to one another is store.py's.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from orchestra.engine.linux.directories import make_private
from orchestra.engine.state.atomic import write_atomic
from orchestra.errors import ImageError, StateError
from orchestra.oci.digest import Digest, digest_of, hex_of, parse_digest
from orchestra.oci.image import LAYER_DOCKER, LAYER_GZIP, MANIFEST_BYTES_MAX, Descriptor

_GZIP_BYTES_MIN = 18


class BlobStore:
    """The blobs below a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._blobs = directory / "blobs" / "sha256"

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
            status = os.stat(f"{self._blobs}/{hex_of(parse_digest(digest))}")  # noqa: PTH116 - of each blob of an index
        except (FileNotFoundError, NotADirectoryError):
            return False
        return size is None or status.st_size == size

    def blob_size(self, digest: Digest) -> int:
        """Return how many bytes a blob has on disk, 0 when it is not here."""
        try:
            return self._path(digest).stat().st_size
        except FileNotFoundError:
            return 0

    def plain_bytes(self, blob: Descriptor) -> int:
        """Return how large a layer's archive is, as far as that can be told without reading it.

        What gzip wrote tells of its length at its end (RFC 1952), of what is beyond 4 GiB the rest.
        """
        if blob.media_type in {LAYER_GZIP, LAYER_DOCKER} and blob.size > _GZIP_BYTES_MIN:
            with suppress(OSError), self._path(blob.digest).open("rb") as file:
                file.seek(-4, os.SEEK_END)
                return max(blob.size, int.from_bytes(file.read(4), "little"))
        return blob.size

    def open_blob(self, digest: Digest) -> BinaryIO:
        """Open a blob to read; whoever reads it checks it.

        :raises ImageError: when it is not here.
        """
        try:
            return self._path(digest).open("rb")
        except FileNotFoundError as err:
            raise missing(digest) from err

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
        fd = self._open_lock()
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

    def _open_lock(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        try:
            return os.open(f"{self.directory}/ingest/lock", flags, 0o600)
        except FileNotFoundError:
            return os.open(self.incoming("lock"), flags, 0o600)

    def _path(self, digest: Digest) -> Path:
        return self._blobs / hex_of(parse_digest(digest))


def missing(digest: Digest) -> ImageError:
    """Say that a blob is not in the store."""
    return ImageError(
        f"cannot use blob {digest[:19]}: it is not in the store",
        hint="pull or build the image again",
    )
