"""Whom one thread acts as when it makes files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from orchestra.engine.linux.syscalls import capget, capset, setfsowner


@contextmanager
def acting_as(uid: int, gid: int) -> Iterator[None]:
    """Let this thread make files as somebody else, with all its rights (man 2 setfsuid).

    The kernel takes rights away with the change, and gives them back with the way back; they are
    taken again in between.
    """
    effective, permitted, inheritable = capget()
    setfsowner(uid, gid)
    try:
        capset(effective, permitted, inheritable)
        yield
    finally:
        setfsowner(0, 0)
        capset(effective, permitted, inheritable)
