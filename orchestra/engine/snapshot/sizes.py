"""How many bytes the files of a layer have, noted at its directory when that is made.

The sum of the sizes of all that is no directory, each file once: what docker calls the size of a
layer. The note is an extended attribute of overlayfs' own kind, so that no container sees it; a
directory without one (of an earlier version, or where such attributes are not to be had) is read.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

_NAME = "overlay.orchestra"


def note_bytes(directory: str, count: int) -> None:
    """Note the size of a layer's files, where the file system takes notes."""
    with suppress(OSError):
        os.setxattr(directory, _name(), b"%d" % count)


def layer_bytes(directory: str) -> int | None:
    """Return the size of a layer's files, None where there is no such directory. Blocks."""
    try:
        return int(os.getxattr(directory, _name()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        pass
    count = count_bytes(directory)
    note_bytes(directory, count)
    return count


def count_bytes(directory: str) -> int:
    """Read a directory, and all below, for the size of its files; what goes meanwhile is left."""
    total, todo = 0, [directory]
    linked: set[tuple[int, int]] = set()
    while todo:
        with suppress(OSError), os.scandir(todo.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    todo.append(entry.path)
                else:
                    key = (status.st_dev, status.st_ino)
                    if status.st_nlink == 1 or key not in linked:
                        total += status.st_size
                    if status.st_nlink > 1:
                        linked.add(key)
    return total


def _name() -> str:
    return f"{'trusted' if os.geteuid() == 0 else 'user'}.{_NAME}"
