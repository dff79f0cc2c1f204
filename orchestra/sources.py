"""Which code this is: digests of the program's source files, by name, size and time.

Of two processes with the same one, each makes of the same input what the other would, and imports
what it would. While a process lives its code stays what it was, so it is looked at once.
"""

from __future__ import annotations

import os

from orchestra.hashing import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_known: dict[str, str] = {}


def code_digest() -> str:
    """Return the digest of all code.

    :raises OSError: when it cannot be looked at.
    """
    whole = _known.get("*")
    if whole is None:
        root = __file__.rpartition("/")[0]
        whole = _known["*"] = rooms_digest(_rooms_below(root, ""))
    return whole


def rooms_digest(rooms: Iterable[str]) -> str:
    """Return the digest of the code in some rooms, paths below the program's own; "" is that.

    :raises OSError: when it cannot be looked at.
    """
    return sha256("\n".join(map(_look_at, rooms)).encode("utf-8", "surrogateescape")).hexdigest()


def _look_at(room: str) -> str:
    known = _known.get(room)
    if known is None:
        found = []
        root = __file__.rpartition("/")[0]
        with os.scandir(f"{root}/{room}") as entries:
            for entry in entries:
                if entry.name.endswith(".py"):
                    status = entry.stat()
                    found.append(f"{entry.name} {status.st_mtime_ns} {status.st_size}")
        known = _known[room] = "\n".join((root, room, *sorted(found)))
    return known


def _rooms_below(root: str, room: str) -> list[str]:
    rooms = [room]
    with os.scandir(f"{root}/{room}") as entries:
        names = [e.name for e in entries if "." not in e.name and e.name != "__pycache__"]
    for name in sorted(names):
        below = f"{room}/{name}".lstrip("/")
        if os.path.isdir(f"{root}/{below}"):  # noqa: PTH112 - pathlib takes longer to import
            rooms += _rooms_below(root, below)
    return rooms
