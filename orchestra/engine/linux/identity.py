"""Who is who on this host: ids of a user namespace, and whom one thread acts as."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from orchestra.engine.linux.syscalls import capget, capset, setfsowner
from orchestra.oci.runtime import IdMapping


def host_id(ranges: Sequence[IdMapping], number: int) -> int | None:
    """Return the host's id of one in a user namespace; None for one that it has not."""
    for item in ranges:
        if item["containerID"] <= number < item["containerID"] + item["size"]:
            return item["hostID"] + number - item["containerID"]
    return None


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
