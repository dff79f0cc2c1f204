"""Files of one container: copied in and out under its lock, so that it neither starts nor stops."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

import anyio.to_thread

from orchestra.engine.container import copying
from orchestra.engine.container.places import Places
from orchestra.engine.container.roots import open_root
from orchestra.engine.container.userns import Shift
from orchestra.engine.container.users import read_user_files, resolve_user
from orchestra.engine.linux.pipes import write_all
from orchestra.engine.state.lock import container_lock
from orchestra.engine.state.records import ContainerRecord
from orchestra.engine.state.store import Store
from orchestra.engine.target import Copy
from orchestra.errors import ContainerError


async def copy_from(store: Store, project: str, container_id: str, copy: Copy) -> None:
    """Copy from a container to a path of this machine, or as an archive to our stdout.

    :raises ContainerError: when something is not there, or in the way.
    """
    source = copying.cleaned(copy.source or "")
    target = copy.target

    def work(side: copying.Side, _record: ContainerRecord) -> None:
        if target is None:
            sys.stdout.flush()
            copying.archive_out(side, source, lambda data: write_all(1, data), follow=copy.follow)
            return
        copying.copy_out(
            side,
            source,
            copying.cleaned(target, copy.directory),
            follow=copy.follow,
            owner=None if copy.archive else (os.geteuid(), os.getegid()),
        )

    await _in_root(store, project, container_id, work)


async def copy_to(store: Store, project: str, container_id: str, copy: Copy) -> None:
    """Copy from a path of this machine, or unpack the archive on our stdin, into a container.

    :raises ContainerError: when something is not there, or in the way.
    """
    target = copying.cleaned(copy.target or "")
    source = copy.source

    def work(side: copying.Side, record: ContainerRecord) -> None:
        owner = _user_of(store, record) if copy.archive else None
        side.shift.run(lambda: into(side, owner))

    def into(side: copying.Side, owner: tuple[int, int] | None) -> None:
        if source is None:
            copying.archive_in(side, copying.reader_of(0), target, owner=owner)
            return
        local = copying.cleaned(source, copy.directory)
        copying.copy_in(side, local, target, follow=copy.follow, owner=owner)

    await _in_root(store, project, container_id, work)


async def export(store: Store, project: str, container_id: str, fd: int) -> None:
    """Write a container's root file system, without what is mounted in it, as an archive.

    :raises ContainerError: when it cannot be read.
    """

    def work(side: copying.Side, _record: ContainerRecord) -> None:
        copying.archive_root(side, lambda data: write_all(fd, data))

    await _in_root(store, project, container_id, work, volumes=False)


async def _in_root(
    store: Store,
    project: str,
    container_id: str,
    work: Callable[[copying.Side, ContainerRecord], None],
    *,
    volumes: bool = True,
) -> None:
    """Do something with a container's root, in a thread that ends when we are cancelled."""

    def enter(record: ContainerRecord) -> None:
        with open_root(store.paths, record, volumes=volumes) as root:
            running = Places.of(store.paths, record).init() is not None
            shift = Shift(remap=record.remap if running else None)
            work(copying.inside(root, record.spec.name, shift), record)

    async with container_lock(store.paths, project, container_id):
        record = store.container(project, container_id)
        if record is None:
            raise ContainerError(f"no container {container_id[:12]}", hint="see `orchestra ps -a`")
        await anyio.to_thread.run_sync(enter, record)


def _user_of(store: Store, record: ContainerRecord) -> tuple[int, int] | None:
    """Return the ids of the user that a container runs as; None where nobody chose one."""
    places = Places.of(store.paths, record)
    image = places.read_image()
    name = record.spec.user or (image.user if image else "")
    if not name:
        return None
    user = resolve_user(name, read_user_files((str(places.upper), *record.layers)))
    return user.uid, user.gid
