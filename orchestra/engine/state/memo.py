"""What was once worked out, by a digest of everything that it was worked out of.

A convenience: any of it may be missing, damaged or deleted at any time, and is worked out again.
Others than its owner can neither read nor write it, and what others could have written is not used.
"""

from __future__ import annotations

import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.engine.linux.directories import make_private
from orchestra.hashing import sha256

if TYPE_CHECKING:
    from orchestra.engine.state.codec import Json

_MOST_ENTRIES = 256
_MOST_BYTES = 64 * 1024 * 1024
_LARGEST_BYTES = 16 * 1024 * 1024


class Memo:
    """A directory of small results; ``key`` is always the hexadecimal digest of their origin."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, key: str) -> Json:
        """Return what was put there, None when nothing was, or it cannot be trusted."""
        try:
            if not self._is_ours():
                return None
            content = (self._directory / key).read_bytes()
        except OSError:
            return None
        digest, _, text = content.partition(b"\n")
        if digest != _digest(text):
            return None
        found: Json = json.loads(text)
        return found

    def put(self, key: str, value: Json) -> None:
        """Remember a value, if that can be done at no great cost; the oldest ones make room."""
        text = json.dumps(value, separators=(",", ":")).encode()
        if len(text) > _LARGEST_BYTES:
            return
        temporary = self._directory / f".{key}.{os.getpid()}"
        with suppress(OSError):
            make_private(self._directory)
            if not self._is_ours():
                return
            self._make_room(len(text))
            try:
                with os.fdopen(
                    os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600),
                    "wb",
                ) as file:
                    file.write(_digest(text) + b"\n" + text)
                temporary.replace(self._directory / key)
            except OSError:
                temporary.unlink(missing_ok=True)

    def _is_ours(self) -> bool:
        status = self._directory.lstat()
        private = not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        return stat.S_ISDIR(status.st_mode) and private and status.st_uid == os.geteuid()

    def _make_room(self, size: int) -> None:
        with os.scandir(self._directory) as found:
            entries = sorted(
                ((status.st_mtime_ns, status.st_size, entry.path) for entry in found
                 if (status := _status(entry)) is not None),
                reverse=True,
            )  # fmt: skip
        for number, (_, entry_size, path) in enumerate(entries, 1):
            size += entry_size
            if number >= _MOST_ENTRIES or size > _MOST_BYTES:
                Path(path).unlink(missing_ok=True)


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None


def _digest(text: bytes) -> bytes:
    return sha256(text).hexdigest().encode()
