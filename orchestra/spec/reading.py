"""Bytes of files that others name: never more than a limit, and never a wait without end.

A pipe, as a shell's ``<(command)`` leads to, is read while somebody writes to it; one to which
nobody writes is refused, not waited for.
"""

from __future__ import annotations

import errno
import os
import select
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

_PATIENCE_SECONDS = 60.0
"""How long a writer of a pipe may say nothing."""

_CHUNK_BYTES = 1 << 20


class Journal:
    """What is read and looked for while the block runs: files' contents, and what is at paths.

    ``kinds`` are the type bits of modes, 0 for nothing; ``tells`` False: something else was read.
    """

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.kinds: dict[str, int] = {}
        self.tells = True

    def __enter__(self) -> Journal:
        _open.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        _open.remove(self)

    def file(self, path: str, content: bytes, *, whole: bool) -> None:
        """Note what was read; ``whole`` says that it is all of a file, and would be again."""
        if not whole or self.contents.setdefault(path, content) != content:
            self.tells = False

    def kind(self, path: str, kind: int) -> None:
        """Note what was found."""
        if self.kinds.setdefault(path, kind) != kind:
            self.tells = False

    def files(self) -> dict[str, str]:
        """Return the digests of what was read."""
        from orchestra.hashing import sha256  # noqa: PLC0415 - this is not for those who only read

        return {path: sha256(content).hexdigest() for path, content in self.contents.items()}


_open: list[Journal] = []
"""Those that want to know; there is one thread that reads."""


def cannot_tell() -> None:
    """Note that something was read that nobody can read again."""
    for journal in _open:
        journal.tells = False


def read_limited(path: str | Path, limit: int) -> bytes:
    """Return what a file holds; of one with more than ``limit`` bytes, one byte too many.

    :raises OSError: when it cannot be read, or is a directory, or a pipe without a writer.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except ValueError as err:  # a NUL, or half a surrogate pair
        raise OSError(errno.EINVAL, "no file can have this name") from err
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        content = _read(handle, limit + 1, pipe=stat.S_ISFIFO(mode))
        for journal in _open:
            whole = stat.S_ISREG(mode) and len(content) <= limit
            journal.file(str(path), content, whole=whole)
        return content
    finally:
        os.close(handle)


def exists(path: str | Path) -> bool:
    """Tell whether there is such a file; there is none where it cannot be looked for."""
    return _mode(path) is not None


def is_file(path: str | Path) -> bool:
    """Tell whether there is such a regular file; there is none where it cannot be looked for."""
    mode = _mode(path)
    return mode is not None and stat.S_ISREG(mode)


def _mode(path: str | Path) -> int | None:
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - pathlib takes longer to import
    except (OSError, ValueError):
        mode = None
    for journal in _open:
        journal.kind(str(path), stat.S_IFMT(mode or 0))
    return mode


def _read(handle: int, most: int, *, pipe: bool) -> bytes:
    parts: list[bytes] = []
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    # poll(2) keeps silent about a pipe that nobody has opened for writing; then read(2) ends it
    deserted = pipe and not poll.poll(0)
    while most > 0:
        try:
            part = os.read(handle, min(most, _CHUNK_BYTES))
        except BlockingIOError:
            deserted = False
            if not poll.poll(_PATIENCE_SECONDS * 1000):
                raise OSError(errno.ETIMEDOUT, "nothing came out of it for a minute") from None
            continue
        if not part and deserted:
            raise OSError(errno.EPIPE, "it is a pipe to which nobody writes")
        if not part:
            break
        parts.append(part)
        most -= len(part)
    return b"".join(parts)
