"""Whether a process lives, told by /proc alone. Imports next to nothing, for ``exec``."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestra.engine.linux.process import Identity


def read_text(path: str) -> str:
    """Return a small file's text. /proc files give their content in one read.

    :raises OSError: when it cannot be read.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        chunks = []
        while chunk := os.read(fd, 65536):
            chunks.append(chunk)
    finally:
        os.close(fd)
    return b"".join(chunks).decode("utf-8", "surrogateescape")


_boot_id: list[str] = []


def boot_id() -> str:
    """Return this boot's random id (random(4), /proc/sys/kernel/random/boot_id), read once."""
    if not _boot_id:
        _boot_id.append(read_text("/proc/sys/kernel/random/boot_id").strip())
    return _boot_id[0]


def stat_of(pid: int) -> tuple[str, int]:
    """Return the state letter and the start time; the name before them may hold any character.

    :raises OSError: when there is no such process.
    """
    fields = read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[0], int(fields[19])


def is_alive(who: Identity) -> bool:
    """Tell whether that very process still runs; a zombie does not."""
    try:
        state, start_time = stat_of(who["pid"])
        return state not in "ZX" and start_time == who["start_time"] and boot_id() == who["boot_id"]
    except (FileNotFoundError, ProcessLookupError):
        return False
