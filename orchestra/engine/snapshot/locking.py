"""Locks on one layer or one blob: flocks on files that vanish with their holders' work.

They are waited for as long as another takes to download a layer, which the state room's locks,
made for quick effects, would call too long.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from orchestra.engine.waiting import pause

_POLL_SECONDS = 0.05


def try_lock(path: Path) -> int | None:
    """Open and lock a file, made where missing; None when somebody else has it.

    The lock lasts until the descriptor is closed. A holder may rename or remove the file: who then
    gets the lock of a file that has lost its name gets None, and asks again.

    :raises OSError: when it cannot be opened.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        current = os.path.samestat(os.fstat(fd), path.stat())
    except (BlockingIOError, FileNotFoundError):
        current = False
    except OSError:
        os.close(fd)
        raise
    if current:
        return fd
    os.close(fd)
    return None


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """Hold a lock, waiting without end; the file is gone afterwards.

    :raises OSError: when it cannot be opened.
    """
    while (fd := try_lock(path)) is None:
        await pause(_POLL_SECONDS)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(fd)
