"""Which code this is: a digest of the program's source files, by name, size and time.

Of two processes with the same one, each imports what the other would.
"""

from __future__ import annotations

import os

from orchestra.hashing import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def code_digest() -> str:
    """Return the digest of the code as it lies on disk now.

    :raises OSError: when it cannot be looked at.
    """
    root = __file__.rpartition("/")[0]
    return sha256("\0".join(_files(root)).encode("utf-8", "surrogateescape")).hexdigest()


def _files(directory: str) -> Iterator[str]:
    with os.scandir(directory) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.name.endswith(".py"):
            status = entry.stat()
            yield f"{entry.path} {status.st_mtime_ns} {status.st_size}"
        elif "." not in entry.name and entry.name != "__pycache__" and entry.is_dir():
            yield from _files(entry.path)
