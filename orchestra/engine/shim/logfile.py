"""A container's output as JSON lines, in the form of docker's json-file, with rotation.

Memory is bounded whatever is written: a line longer than PIECE_BYTES becomes several records, all
but the last without a newline. Bytes that are no UTF-8 become U+FFFD. A full disk loses output and
never stops the container.
"""

# No pathlib here: the process stays small.
# ruff: noqa: PTH105, PTH108

from __future__ import annotations

import json
import os
import time
from json.encoder import encode_basestring

from orchestra.engine.shim.protocol import LogOptions

PIECE_BYTES = 16 * 1024


def stamp(nanoseconds: int) -> str:
    """Render a time since the epoch as RFC 3339 in UTC with nanoseconds."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest:09d}Z"


class LineSplitter:
    """Cuts one stream into texts of at most PIECE_BYTES, each ending where a line ends or full."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """Take what was read and return what is complete."""
        if self._rest:
            data = self._rest + data
        end = data.rfind(b"\n") + 1
        texts: list[str] = []
        if end:
            lines = data[:end].split(b"\n")
            lines.pop()
            for line in lines:
                if len(line) < PIECE_BYTES:
                    texts.append(line.decode("utf-8", "replace") + "\n")
                else:
                    texts += _pieces(line + b"\n")
        rest = data[end:]
        while len(rest) > PIECE_BYTES:  # with the byte after a cut known, no character is torn
            cut = _character_boundary(rest, PIECE_BYTES)
            texts.append(rest[:cut].decode("utf-8", "replace"))
            rest = rest[cut:]
        self._rest = rest
        return texts

    def flush(self) -> list[str]:
        """Return what is left of a last line without a newline."""
        rest, self._rest = self._rest, b""
        return [rest.decode("utf-8", "replace")] if rest else []


def _pieces(line: bytes) -> list[str]:
    texts = []
    start = 0
    while start < len(line):
        end = start + _character_boundary(line[start : start + PIECE_BYTES + 1], PIECE_BYTES)
        texts.append(line[start:end].decode("utf-8", "replace"))
        start = end
    return texts


def _character_boundary(data: bytes, limit: int) -> int:
    """Return where to cut at or just before ``limit``, so that no UTF-8 character is torn."""
    if len(data) <= limit:
        return len(data)
    for cut in range(limit, limit - 4, -1):
        if data[cut] & 0xC0 != 0x80:
            return cut
    return limit


class LogFile:
    """The file, and its older siblings ``.1``, ``.2`` ..."""

    def __init__(self, path: str, options: LogOptions, fd: int = -1) -> None:
        """Open for appending, or go on with what was opened before.

        :raises OSError: when the file cannot be made.
        """
        self._path = path
        self._max_bytes = options["max_size_bytes"]
        self._max_files = max(1, options["max_file"])
        attributes = options.get("attributes")
        self._attributes = "" if not attributes else f',"attrs":{json.dumps(attributes)}'
        self.fd = fd
        self._size = 0
        if fd < 0:
            self._open()
        else:
            self._size = os.fstat(fd).st_size

    def write(self, stream: str, texts: list[str], nanoseconds: int) -> None:
        """Append one record per text; what the disk refuses is lost."""
        tail = f',"stream":"{stream}"{self._attributes},"time":"{stamp(nanoseconds)}"}}\n'
        batch = "".join(['{"log":' + encode_basestring(text) + tail for text in texts])
        data = batch.encode("utf-8", "replace")
        if self._max_bytes <= 0 or self._size + len(data) <= self._max_bytes:
            self._append(data)
            return
        for line in data.splitlines(keepends=True):
            if self._size and self._size + len(line) > self._max_bytes:
                self._rotate()
            self._append(line)

    def close(self) -> None:
        """Close the file."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self.fd = os.open(self._path, flags, 0o600)
        self._size = os.fstat(self.fd).st_size
        if self._size and os.pread(self.fd, 1, self._size - 1) != b"\n":
            self._append(b"\n")

    def _append(self, data: bytes) -> None:
        try:
            if self.fd < 0:
                self._open()
            written = os.write(self.fd, data)
            if written < len(data):
                os.ftruncate(self.fd, self._size)
                return
        except OSError:
            return
        self._size += written

    def _rotate(self) -> None:
        self.close()
        try:
            for number in range(self._max_files - 1, 0, -1):
                older = self._path if number == 1 else f"{self._path}.{number - 1}"
                if os.path.lexists(older):
                    os.replace(older, f"{self._path}.{number}")
            if self._max_files == 1:
                os.unlink(self._path)
            self._open()
        except OSError:
            return
