"""Reading what a list of files has found: their digests, several files at once.

While the list is made, files are gathered by directory; a few small ones are read at once, more
go to threads, which the hash and the disk keep busy without Python's lock. No more than a bounded
number of directories is held open for them.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING

from orchestra.engine.build.digests import now_ns
from orchestra.engine.build.tree import FILE_FLAGS, Directory, Item, Tree
from orchestra.hashing import Sha256
from orchestra.values import dataclass, field

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor
    from threading import BoundedSemaphore

_CHUNK = 1 << 20
_BATCH_BYTES = 4 << 20
_BATCH_FILES = 256
_ALONE_BYTES = 1 << 20
_ALONE_FILES = 64
_WAITING_MAX = 64
_CAPABILITY = "security.capability"


@dataclass(slots=True)
class Entry:
    """A file, directory or link to copy, as it was when it was listed.

    A file's status, digest and capability are filled in when it is read, or known without.
    """

    name: str
    status: os.stat_result
    link: str = ""
    digest: str = ""
    capability: bytes = b""
    children: tuple[Entry, ...] = ()
    layer: int = 0


@dataclass(slots=True)
class _Batch:
    """Files of one directory to read; owns its descriptors, by layer."""

    path: str
    layered: bool
    fds: dict[int, int] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    size: int = 0

    def close(self) -> None:
        for fd in self.fds.values():
            os.close(fd)
        self.fds.clear()


class Hashing:
    """The files of one list; those that are listed are read at the end of the block."""

    def __init__(self, tree: Tree) -> None:
        self._digests = tree.digests
        self._seen = tree.seen
        self._batch: _Batch | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: BoundedSemaphore | None = None
        self._futures: list[Future[None]] = []
        self._files = self._bytes = 0

    def __enter__(self) -> Hashing:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Read what is left, unless the list was given up.

        :raises OSError: when a file cannot be read.
        """
        try:
            if kind is None:
                self._flush()
        finally:
            if self._batch is not None:
                self._batch.close()
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=False)
        if kind is None:
            for future in self._futures:
                future.result()

    def file(self, directory: Directory, item: Item) -> Entry:
        """Return the entry of a file, whose digest is known at once or at the end of the block."""
        entry = Entry(item.name, item.stat, layer=item.layer)
        if self._seen is not None:
            above = directory.path
            self._seen.files[f"{above}/{item.name}" if above else item.name] = entry
        known = self._digests.known(item.stat) if self._digests is not None else None
        if known is not None:
            entry.digest = known
            return entry
        batch = self._batch
        if (
            batch is None
            or batch.path != directory.path
            or batch.size > _BATCH_BYTES
            or len(batch.entries) >= _BATCH_FILES
        ):
            self._flush()
            batch = self._batch = _Batch(directory.path, directory.layered)
        if item.layer not in batch.fds:
            batch.fds[item.layer] = os.dup(directory.fds[item.layer])
        batch.entries.append(entry)
        batch.size += item.stat.st_size
        return entry

    def something_else(self) -> None:
        """Note that there is more than directories, links and files with content."""
        if self._seen is not None:
            self._seen.tells = False

    def _flush(self) -> None:
        batch, self._batch = self._batch, None
        if batch is None:
            return
        self._files += len(batch.entries)
        self._bytes += batch.size
        if self._pool is None and self._files <= _ALONE_FILES and self._bytes <= _ALONE_BYTES:
            self._read(batch)
            return
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - many files only
            from threading import BoundedSemaphore  # noqa: PLC0415

            self._waiting = BoundedSemaphore(_WAITING_MAX)
            self._pool = ThreadPoolExecutor(min(8, (os.cpu_count() or 1) + 1))
        if self._waiting is not None:
            self._waiting.acquire()
        self._futures.append(self._pool.submit(self._read_waiting, batch))

    def _read_waiting(self, batch: _Batch) -> None:
        try:
            self._read(batch)
        finally:
            if self._waiting is not None:
                self._waiting.release()

    def _read(self, batch: _Batch) -> None:
        try:
            for entry in batch.entries:
                fd = os.open(entry.name, FILE_FLAGS, dir_fd=batch.fds[entry.layer])
                try:
                    self._fill(entry, fd, layered=batch.layered)
                finally:
                    os.close(fd)
        finally:
            batch.close()

    def _fill(self, entry: Entry, fd: int, *, layered: bool) -> None:
        begun = now_ns()
        entry.status = status = os.fstat(fd)
        digest = self._new_hash()
        while chunk := os.read(fd, _CHUNK):
            digest.update(chunk)
        entry.digest = digest.hexdigest()
        entry.capability = _capability(fd) if layered else b""
        if self._digests is not None and _same(status, os.fstat(fd)):
            self._digests.learn(fd, status, bytes.fromhex(entry.digest), begun)

    def _new_hash(self) -> Sha256:
        if self._pool is not None:
            import hashlib  # noqa: F401, PLC0415 - of many files, and it leaves threads alone
        return Sha256()


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return (before.st_size, before.st_mtime_ns, before.st_ctime_ns) == (
        after.st_size,
        after.st_mtime_ns,
        after.st_ctime_ns,
    )


def _capability(fd: int) -> bytes:
    try:
        return os.getxattr(fd, _CAPABILITY)
    except OSError:
        return b""
