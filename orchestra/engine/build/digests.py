"""What the files of a context hold, remembered by how they look: what is unchanged is not read.

A file is known by its device, inode, size, time of the last writing and time of the last change;
that last one the kernel sets, and nobody can turn it back. Two changes within one tick of the
kernel's clock look the same, so nothing is remembered of a file that changed just before it was
read (git's "racily clean"), and nothing on file systems whose times another machine gives.

One file per context: a checksum, then records of fixed length. It is replaced as a whole; one that
is torn, damaged or somebody else's is as if there were none. Contexts and records are bounded, the
oldest go first.
"""

from __future__ import annotations

import os
import stat
import struct
import time
from contextlib import suppress
from itertools import islice
from pathlib import Path, PurePosixPath

from orchestra.engine.linux.directories import make_private
from orchestra.hashing import sha256_of

_LOOKS = struct.Struct("<QQqqq")
_DIGEST_BYTES = 32
_RECORD_BYTES = _LOOKS.size + _DIGEST_BYTES
_HEAD = b"orchestra file digests 1\n"
_FILE_BYTES_MAX = 64 << 20
_CONTEXTS_MAX = 64
_SPARE_MIN = 1024
TICK_NS = 100_000_000
"""Longer than any tick: HZ is 100 at least."""
_LOCAL = frozenset(
    {0xEF53, 0x58465342, 0x9123683E, 0x01021994, 0x794C7630, 0xF2F52010, 0x2FC12FC1, 0xCA451A4E}
)
"""linux/magic.h: ext2-4, xfs, btrfs, tmpfs, overlay, f2fs, zfs, bcachefs: times of this kernel."""


class FileDigests:
    """The digests of one context's files; ``directory`` holds those of all contexts.

    May be asked and told by several threads at once.
    """

    def __init__(self, directory: PurePosixPath, context: str) -> None:
        name = sha256_of(context.encode("utf-8", "surrogateescape"))[:32]
        self._path = Path(directory) / name
        self._old: dict[bytes, bytes] | None = None
        self._seen: dict[bytes, bytes] = {}
        self._learned = False
        self._trusted: dict[int, bool] = {}

    def known(self, status: os.stat_result) -> str | None:
        """Return the digest of a file that looks like this, None when it has to be read."""
        if self._old is None:
            self._old = _read(self._path)
        looks = _looks(status)
        found = self._old.get(looks) or self._seen.get(looks)
        if found is None:
            return None
        self._seen[looks] = found
        return found.hex()

    def learn(self, fd: int, status: os.stat_result, digest: bytes, begun_ns: int) -> None:
        """Remember an open file, which looked like this before and after it was read.

        ``begun_ns`` is when reading began, in nanoseconds since the epoch.
        """
        if status.st_ctime_ns + TICK_NS > begun_ns or not self._is_trusted(fd, status.st_dev):
            return
        self._seen[_looks(status)] = digest
        self._learned = True

    def _is_trusted(self, fd: int, device: int) -> bool:
        known = self._trusted.get(device)
        if known is None:
            from orchestra.engine.linux.filesystems import filesystem_type  # noqa: PLC0415 - rare

            known = self._trusted[device] = filesystem_type(fd) in _LOCAL
        return known

    def save(self) -> None:
        """Write down what is new, if that can be done; what was not seen of late makes room."""
        if not self._learned:
            return
        self._learned = False
        spare = max(len(self._seen), _SPARE_MIN)
        unseen = (pair for pair in (self._old or {}).items() if pair[0] not in self._seen)
        kept = self._seen | dict(islice(unseen, spare))
        body = b"".join(
            looks + digest
            for looks, digest in islice(kept.items(), _FILE_BYTES_MAX // _RECORD_BYTES)
        )
        temporary = self._path.with_name(f".{os.urandom(8).hex()}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with suppress(OSError):
            make_private(self._path.parent)
            _make_room(self._path)
            try:
                with os.fdopen(os.open(temporary, flags, 0o600), "wb") as file:
                    file.write(_HEAD + bytes.fromhex(sha256_of(body)) + body)
                temporary.replace(self._path)
            except OSError:
                temporary.unlink(missing_ok=True)


def _looks(status: os.stat_result) -> bytes:
    return _LOOKS.pack(
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def now_ns() -> int:
    """Return the time by the clock that files' times are taken from."""
    return time.time_ns()


def is_local(directory: str) -> bool:
    """Tell whether a directory is on a file system whose times this kernel gives."""
    from orchestra.engine.linux.filesystems import filesystem_type  # noqa: PLC0415 - rare

    try:
        fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return filesystem_type(fd) in _LOCAL
    finally:
        os.close(fd)


def _read(path: Path) -> dict[bytes, bytes]:
    """Return what was written down; nothing where it cannot be trusted."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            status = os.fstat(fd)
            others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
            if not stat.S_ISREG(status.st_mode) or others or status.st_uid != os.geteuid():
                return {}
            data = file.read(_FILE_BYTES_MAX + len(_HEAD) + _DIGEST_BYTES)
    except OSError:
        return {}
    start = len(_HEAD) + _DIGEST_BYTES
    body = memoryview(data)[start:]
    if data[:start] != _HEAD + bytes.fromhex(sha256_of(body)) or len(body) % _RECORD_BYTES:
        return {}
    end = _LOOKS.size
    return {
        data[at : at + end]: data[at + end : at + _RECORD_BYTES]
        for at in range(start, len(data), _RECORD_BYTES)
    }


def _make_room(path: Path) -> None:
    """Remove the oldest files where there are too many, and what killed writers left."""
    with os.scandir(path.parent) as found:
        entries = [(entry.stat(follow_symlinks=False).st_mtime, entry.path) for entry in found]
    others = sorted((entry for entry in entries if entry[1] != str(path)), reverse=True)
    for _, other in others[_CONTEXTS_MAX - 1 :]:
        Path(other).unlink(missing_ok=True)
