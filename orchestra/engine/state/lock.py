"""Locks between processes: flocks on files, always taken in the order project, container, machine.

A project lock is held by one transaction from observing to the last step; a container lock for
one effect on one container; a machine lock for one change of what projects share (networks,
images). The holder's pid stands in the file, for the message to those who wait too long.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from orchestra.engine.linux.directories import make_private
from orchestra.engine.paths import Paths
from orchestra.errors import LockError, StateError

_POLL_SECONDS = 0.02
_PID_DIGITS = 10
CONTAINER_DEADLINE_SECONDS = 120.0
MACHINE_DEADLINE_SECONDS = 60.0


@asynccontextmanager
async def project_lock(paths: Paths, project: str, *, wait: float = 0.0) -> AsyncIterator[None]:
    """Hold a project's lock; ``wait`` is how many seconds to wait for another holder.

    :raises LockError: when somebody else keeps it.
    """
    async with _flock(f"{paths.project(project)}/lock", f'project "{project}"', wait):
        yield


@contextmanager
def at_once(paths: Paths, project: str) -> Iterator[bool]:
    """Hold a project's lock if nobody else does; tell whether that is so.

    :raises StateError: when there can be no lock.
    """
    path = f"{paths.project(project)}/lock"
    fd = _open(path)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = _is_current(fd, path)
        except OSError:
            held = False
        if held:
            _sign(fd)
        yield held
    finally:
        os.close(fd)


@asynccontextmanager
async def container_lock(paths: Paths, project: str, container_id: str) -> AsyncIterator[None]:
    """Hold a container's lock for one effect on it.

    Who waited while the container was removed holds a lock on nothing, and leaves nothing.

    :raises LockError: when somebody else keeps it for two minutes.
    """
    directory = paths.container_run(project, container_id)
    what = f"container {container_id[:12]}"
    async with _flock(f"{directory}/lock", what, CONTAINER_DEADLINE_SECONDS):
        try:
            yield
        finally:
            if not os.path.exists(paths.container(project, container_id)):  # noqa: PTH110
                with suppress(OSError):
                    os.unlink(f"{directory}/lock")  # noqa: PTH108
                    os.rmdir(directory)  # noqa: PTH106


@asynccontextmanager
async def machine_lock(paths: Paths, subject: str) -> AsyncIterator[None]:
    """Hold the machine-wide lock on ``subject`` ("networks", "images").

    :raises LockError: when somebody else keeps it for a minute.
    """
    path = f"{paths.run}/locks/{subject}.lock"
    async with _flock(path, f"the {subject} of this machine", MACHINE_DEADLINE_SECONDS):
        yield


@asynccontextmanager
async def _flock(path: str, what: str, wait: float) -> AsyncIterator[None]:
    fd = _open(path)
    try:
        await _acquire(fd, what, wait)
        while not _is_current(fd, path):
            os.close(fd)
            fd = _open(path)
            await _acquire(fd, what, wait)
        _sign(fd)
        yield
    finally:
        os.close(fd)


def _sign(fd: int) -> None:
    """Write down who holds it, over who did before."""
    os.pwrite(fd, f"{os.getpid():<{_PID_DIGITS}}\n".encode(), 0)


def _holder(fd: int) -> str:
    return os.pread(fd, 32, 0).decode(errors="replace").partition("\n")[0].strip()


def _open(path: str) -> int:
    try:
        while True:
            with suppress(FileNotFoundError):  # there is no directory yet, or no longer
                return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            make_private(path.rpartition("/")[0])
    except OSError as err:
        raise StateError(
            f'cannot open the lock "{path}": {err.strerror}', hint="run the command as root"
        ) from err


def _is_current(fd: int, path: str) -> bool:
    """Tell whether the locked file still bears its name: its last holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))  # noqa: PTH116 - at each start
    except FileNotFoundError:
        return False


async def _acquire(fd: int, what: str, wait: float) -> None:
    """Take the flock; flock(2) has no timed form, so a contended lock is asked for again."""
    if _take(fd, what):
        return
    import anyio  # noqa: PLC0415 - who does not wait needs none

    deadline = anyio.current_time() + wait
    while not _take(fd, what):
        if anyio.current_time() >= deadline:
            holder = _holder(fd) or "unknown"
            raise LockError(
                f"cannot lock {what}: process {holder} holds it",
                hint="wait for that command to end, or stop it",
            )
        await anyio.sleep(_POLL_SECONDS)


def _take(fd: int, what: str) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as err:
        if err.errno != errno.EWOULDBLOCK:
            raise StateError(f"cannot lock {what}: {err.strerror}") from err
        return False
    return True
