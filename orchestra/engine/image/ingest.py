"""A blob on its way into the store: written, hashed, and read by its unpacker at the same time.

It gathers in ``ingest/<digest>`` under a flock, survives its process there and is resumed by the
next pull, and becomes a blob by a rename once size and digest are right.
"""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import anyio
import anyio.to_thread

from orchestra.engine.image.store import ImageStore
from orchestra.engine.linux.files import write_all
from orchestra.engine.snapshot.locking import try_lock
from orchestra.errors import ImageError
from orchestra.oci.digest import hex_of
from orchestra.oci.image import Descriptor

_READ_BYTES = 1 << 20
_CLAIM_SECONDS = 0.05


class Ingest:
    """One blob being gathered. Blocking calls: ``open``, ``write``, ``finish``, ``read``."""

    def __init__(self, store: ImageStore, descriptor: Descriptor) -> None:
        self.descriptor = descriptor
        self.size = 0
        self._store = store
        self._path: Path = store.incoming(hex_of(descriptor.digest))
        self._fd = -1
        self._hash = hashlib.sha256()
        self._changed = threading.Condition()
        self._state = "open"
        self._read_at = 0

    def open(self) -> bool:
        """Take the file and what an earlier process left in it; False when somebody else has it.

        :raises ImageError: when the disk refuses.
        """
        try:
            fd = try_lock(self._path)
        except OSError as err:
            raise self._refused(err) from err
        if fd is None:
            return False
        self._fd = fd
        self._recall()
        return True

    def close(self) -> None:
        """Let go of the file; what is gathered stays for the next time."""
        self.end(complete=False)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        """Throw away what is gathered, and let go."""
        self._path.unlink(missing_ok=True)
        self.close()

    def write(self, data: bytes) -> None:
        """Append bytes.

        :raises ImageError: when there are more than the blob has, or the disk refuses.
        """
        if self.size + len(data) > self.descriptor.size:
            raise ImageError(
                f"cannot use blob {self.descriptor.digest[:19]}: more comes than its "
                f"{self.descriptor.size} bytes",
                hint="the registry or something on the way to it is broken, or lies",
            )
        try:
            write_all(self._fd, data)
        except OSError as err:
            raise self._refused(err) from err
        self._hash.update(data)
        with self._changed:
            self.size += len(data)
            self._changed.notify_all()

    def finish(self) -> None:
        """Check the whole, and give it its place.

        :raises ImageError: when it is not what its digest says; it is gone then.
        """
        digest = "sha256:" + self._hash.hexdigest()
        if self.size != self.descriptor.size or digest != self.descriptor.digest:
            self._path.unlink(missing_ok=True)
            raise ImageError(
                f"cannot use blob {self.descriptor.digest[:19]}: what came has digest {digest} "
                f"and {self.size} bytes, not {self.descriptor.size}",
                hint="the registry or something on the way to it is broken, or lies",
            )
        self.end(complete=True)  # the unpacker need not wait for the disk
        try:
            os.fdatasync(self._fd)
            self._store.keep_incoming(self._path, self.descriptor.digest)
        except OSError as err:
            raise self._refused(err) from err

    def end(self, *, complete: bool) -> None:
        """Tell the reader that nothing more comes."""
        with self._changed:
            if self._state == "open":
                self._state = "complete" if complete else "broken"
            self._changed.notify_all()

    def read(self, count: int) -> bytes:
        """Return the next bytes for the unpacker, waiting for them; b"" at the end of a whole blob.

        :raises ImageError: when the transfer broke off.
        """
        with self._changed:
            while self._read_at >= self.size and self._state == "open":
                self._changed.wait()
            if self._read_at >= self.size:
                if self._state == "complete":
                    return b""
                raise ImageError(f"blob {self.descriptor.digest[:19]} did not come to its end")
        data = os.pread(self._fd, count, self._read_at)
        self._read_at += len(data)
        return data

    def _recall(self) -> None:
        """Hash what is there; more than there should be is thrown away."""
        length = os.fstat(self._fd).st_size
        if length > self.descriptor.size:
            os.ftruncate(self._fd, 0)
            length = 0
        while self.size < length:
            data = os.pread(self._fd, _READ_BYTES, self.size)
            self._hash.update(data)
            self.size += len(data)
        os.lseek(self._fd, self.size, os.SEEK_SET)

    def _refused(self, err: OSError) -> ImageError:
        return ImageError(
            f"cannot store blob {self.descriptor.digest[:19]}: {err.strerror}",
            hint="make room on the disk that holds the data directory",
        )


async def claim(store: ImageStore, descriptor: Descriptor) -> Ingest | None:
    """Return a blob's place to gather, for the caller to close; waits for whoever has it.

    None once the blob is in the store, by whomever.

    :raises ImageError: when the disk refuses.
    """
    while not store.has_blob(descriptor.digest, descriptor.size):
        ingest = Ingest(store, descriptor)
        if await anyio.to_thread.run_sync(ingest.open):
            if not store.has_blob(descriptor.digest, descriptor.size):
                return ingest
            ingest.discard()  # another has put it there meanwhile
            break
        await anyio.sleep(_CLAIM_SECONDS)
    return None
