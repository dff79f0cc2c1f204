"""Identity files: who the shim and the init are, for whoever comes later."""

# No pathlib here: the process stays small.
# ruff: noqa: PTH105

from __future__ import annotations

import json
import os

from orchestra.engine.linux import process
from orchestra.engine.shim.protocol import Identity


def write_json(path: str, document: object) -> None:
    """Replace a small file whole: written aside, then renamed. Not synced: it is of this boot.

    :raises OSError: when the directory or the disk refuses.
    """
    temporary = f"{path}.{os.getpid()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(temporary, flags, 0o600)
    try:
        os.write(fd, json.dumps(document, separators=(",", ":")).encode())
    finally:
        os.close(fd)
    os.replace(temporary, path)


def write_identity(path: str, pid: int) -> Identity:
    """Write down who a living process is, and return it.

    :raises OSError: ESRCH when it is gone.
    """
    found = process.identity(pid)
    who: Identity = {
        "pid": found["pid"],
        "start_time": found["start_time"],
        "boot_id": found["boot_id"],
    }
    write_json(path, who)
    return who


def read_identity(path: str) -> Identity | None:
    """Return who a file names; None when it is missing or damaged."""
    try:
        document = json.loads(process.read_text(path))
        return {
            "pid": int(document["pid"]),
            "start_time": int(document["start_time"]),
            "boot_id": str(document["boot_id"]),
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None


def is_alive(path: str) -> bool:
    """Tell whether the process that a file names lives."""
    who = read_identity(path)
    return who is not None and process.is_alive(who)
