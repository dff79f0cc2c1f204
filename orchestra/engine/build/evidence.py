"""What a settled build looked at, written down so that another look at it costs next to nothing.

Evidence is a document of plain values. *files* are paths with the digest of what they hold, ""
where nothing is there; *kinds* what is at a path, as far as its mode tells; *sizes* those of blobs;
*names* and *notes* what the image store's index says of references; *trees* how the directories
and files of contexts look (device, inode, size, times, mode). A directory whose times are as they
were has the names that it had, so nobody has to ask what is hidden or new.

Whoever finds that evidence holds knows that a build would give what it gave. Evidence that does
not hold says nothing: then the build is looked for in the usual way. Imports next to nothing
(ADR 0026).
"""

from __future__ import annotations

import os
from struct import Struct

from orchestra.engine.state.plain import NotPlainError, loads
from orchestra.hashing import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

# those of oci/image.py and local/notes.py, which a test compares
REF_NAME = "org.opencontainers.image.ref.name"
BUILD_HASH = "org.orchestra.build-hash"
UNSEEN = ""
"""How a context looks that may have changed without a trace while it was looked at."""
_OTHERS_WRITE = 0o022
_KIND = 0o170000
_REGULAR = 0o100000
DIRECTORY = 0o040000
"""The kind of a directory."""
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_LOOKS = Struct("<QQqqqI")
_LONG_BYTES = 1 << 18
_DOCUMENT_BYTES_MAX = 64 << 20
_FILE_BYTES_MAX = 16 << 20

Index = dict[str, tuple[str, str]]
"""References of the image store: the digest that each names, and the hash that its build noted."""


def looks_of(statuses: Iterable[os.stat_result]) -> str:
    """Return a digest of how files look, in their order."""
    pack = _LOOKS.pack
    looks = b"".join(
        [
            pack(s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_mode)
            for s in statuses
        ]
    )
    if len(looks) < _LONG_BYTES:
        return sha256(looks).hexdigest()
    import hashlib  # noqa: PLC0415 - pays for thousands of files

    return hashlib.sha256(looks).hexdigest()


def digest_at(path: str) -> str:
    """Return the digest of what a regular file holds, "" where nothing is there.

    :raises OSError: when it cannot be read.
    :raises ValueError: when it is no such file, or too large to be looked at.
    """
    data = _content(path, _FLAGS, _FILE_BYTES_MAX)
    return "" if data is None else sha256(data).hexdigest()


def kind_at(path: str) -> int:
    """Return what is at a path, links followed: the type bits of a mode, 0 for nothing."""
    try:
        return os.stat(path).st_mode & _KIND  # noqa: PTH116 - pathlib takes longer to import
    except (OSError, ValueError):
        return 0


def remembered(directory: str, key: str) -> object:
    """Return what a memo (state/memo.py) of ours holds.

    :raises NotPlainError: when it holds nothing that can be trusted.
    """
    try:
        status = os.lstat(directory)
        private = status.st_uid == os.geteuid() and not status.st_mode & _OTHERS_WRITE
        if status.st_mode & _KIND != DIRECTORY or not private:
            raise NotPlainError
        data = _content(f"{directory}/{key}", _FLAGS | os.O_NOFOLLOW, _DOCUMENT_BYTES_MAX)
    except (OSError, ValueError) as err:
        raise NotPlainError from err
    digest, _, text = (data or b"").partition(b"\n")
    if digest != sha256(text).hexdigest().encode():
        raise NotPlainError
    return loads(text)


def index_at(directory: str) -> Index:
    """Return what the index of the image store (image/index.py) says.

    :raises NotPlainError: when it cannot be read.
    """
    try:
        data = _content(f"{directory}/index.json", _FLAGS, _DOCUMENT_BYTES_MAX)
    except (OSError, ValueError) as err:
        raise NotPlainError from err
    found: Index = {}
    match loads(data or b"{}"):
        case {"manifests": list(entries)}:
            for entry in entries:
                match entry:
                    case {"digest": str(digest), "annotations": dict(notes)}:
                        noted = notes.get(BUILD_HASH, "")
                        found[str(notes.get(REF_NAME, ""))] = digest, str(noted)
                    case _:
                        pass
        case _:
            pass
    return found


class shared:  # noqa: N801 - contextlib takes longer to import
    """The lock of those who count on blobs (image/blobs.py), shared: no sweep comes meanwhile.

    :raises NotPlainError: when one is under way, or there is no such lock.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1

    def __enter__(self) -> None:
        import fcntl  # noqa: PLC0415 - the module's other users have no need of it

        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC)
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError as err:
            self.__exit__()
            raise NotPlainError from err

    def __exit__(self, *_: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def holds(evidence: object, index: Index) -> bool:
    """Tell whether everything is as the evidence says."""
    return stands(evidence, index) and looks_the_same(evidence)


def stands(evidence: object, index: Index) -> bool:
    """Tell whether everything is as the evidence says but, may be, contexts."""
    match evidence:
        case {
            "files": dict(files),
            "kinds": dict(kinds),
            "sizes": dict(sizes),
            "names": dict(names),
            "notes": dict(notes),
            "trees": list(),
        }:
            pass
        case _:
            return False
    nothing = ("", "")
    try:
        return (
            all(index.get(name, nothing)[0] == digest for name, digest in names.items())
            and all(index.get(name, nothing)[1] == note for name, note in notes.items())
            and all(digest_at(path) == digest for path, digest in files.items())
            and all(kind_at(path) == kind for path, kind in kinds.items())
            and all(os.stat(path).st_size == size for path, size in sizes.items())  # noqa: PTH116
        )
    except (OSError, ValueError):
        return False


def looks_the_same(evidence: object) -> bool:
    """Tell whether contexts are as evidence that stands says."""
    match evidence:
        case {"trees": list(trees)}:
            try:
                return all(map(_looks_the_same, trees))
            except (OSError, ValueError):
                return False
        case _:
            return False


def _looks_the_same(tree: object) -> bool:
    match tree:
        case [str(root), str(below), str(looks)] if looks != UNSEEN:
            return looks_of(statuses_of(root, below.split("\0") if below else [])) == looks
        case _:
            return False


def statuses_of(root: str, below: Iterable[str]) -> list[os.stat_result]:
    """Return the status of a directory, and of what lies at paths below it.

    :raises OSError: when one of them is not there.
    """
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        stat = os.stat
        return [os.fstat(fd), *(stat(path, dir_fd=fd, follow_symlinks=False) for path in below)]
    finally:
        os.close(fd)


def _content(path: str, flags: int, most: int) -> bytes | None:
    """Return what a regular file holds, None where nothing is there.

    :raises OSError: when it cannot be read.
    :raises ValueError: when it is something else, or larger than ``most`` bytes.
    """
    try:
        fd = os.open(path, flags)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        status = os.fstat(fd)
        if status.st_mode & _KIND != _REGULAR or status.st_size > most:
            raise ValueError(path)
        data = b""
        while len(data) <= most and (part := os.read(fd, status.st_size + 1)):
            data += part
        return data
    finally:
        os.close(fd)
