"""A container's root as a descriptor: with its mounts or without, running or not, nothing left."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import anyio.to_thread
import pytest
from support.cell import Cell, open_cell, spec

from orchestra.engine.container.roots import open_root
from orchestra.engine.linux import host
from orchestra.engine.linux.flags import Resolve
from orchestra.engine.linux.syscalls import openat2
from orchestra.engine.state.records import ContainerRecord
from orchestra.errors import ContainerError
from orchestra.planner.desired import ContainerSpec, Mount, MountKind

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]


@pytest.fixture
async def cell(tmp_path: Path, token: str) -> AsyncIterator[Cell]:
    async with open_cell(tmp_path, token) as opened:
        yield opened
        assert opened.launcher_log() == ""


@pytest.fixture
def wanted(tmp_path: Path) -> ContainerSpec:
    """A container with a bind of the host, and a tmpfs."""
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/note").write_text("of the host")
    mounts = (
        Mount(kind=MountKind.BIND, target="/shared", source=str(tmp_path / "shared")),
        Mount(kind=MountKind.TMPFS, target="/scratch"),
    )
    return spec("/bin/sleep", "1000", mounts=mounts)


async def names(
    cell: Cell, record: ContainerRecord, path: str, *, volumes: bool = True
) -> set[str]:
    """List a directory of a container's root."""

    def look() -> set[str]:
        with open_root(cell.paths, record, volumes=volumes) as root:
            flags = os.O_RDONLY | os.O_DIRECTORY
            fd = openat2(root, path, flags, resolve=Resolve.IN_ROOT)
            try:
                return set(os.listdir(fd))  # noqa: PTH208
            finally:
                os.close(fd)

    return await anyio.to_thread.run_sync(look)


async def test_a_container_that_never_ran(
    cell: Cell, wanted: ContainerSpec, tmp_path: Path
) -> None:
    record = await cell.create(wanted)
    before = host.mounts()
    assert {"bin", "etc", "shared"} <= await names(cell, record, "/")
    assert await names(cell, record, "/shared") == {"note"}
    assert await names(cell, record, "/shared/../../..") >= {"bin", "etc"}
    with open_root(cell.paths, record):
        new = [m for m in host.mounts() if m not in before and str(tmp_path) in str(m)]
        assert not new, "nobody else sees the mounts"
    with pytest.raises(FileNotFoundError):
        await names(cell, record, "/nothing", volumes=False)


async def test_a_running_container_with_its_mounts_and_without(
    cell: Cell, wanted: ContainerSpec
) -> None:
    record = await cell.start(wanted)
    assert await names(cell, record, "/shared") == {"note"}
    assert "1" in await names(cell, record, "/proc")
    for mounted in ("/shared", "/proc", "/scratch", "/dev"):
        assert not await names(cell, record, mounted, volumes=False) - {"console", "pts", "shm"}
    assert {"bin", "etc"} <= await names(cell, record, "/", volumes=False)


async def test_mounts_outlive_the_container_while_they_are_held(
    cell: Cell, wanted: ContainerSpec
) -> None:
    record = await cell.start(wanted)
    with open_root(cell.paths, record) as root:
        await cell.containers.kill(record)
        await cell.containers.wait(record)
        fd = openat2(root, "/shared", os.O_RDONLY | os.O_DIRECTORY, resolve=Resolve.IN_ROOT)
        try:
            assert os.listdir(fd) == ["note"]  # noqa: PTH208
        finally:
            os.close(fd)


async def test_a_root_that_cannot_be_mounted_is_told(cell: Cell, wanted: ContainerSpec) -> None:
    record = await cell.create(wanted)
    shutil.rmtree(cell.layer)
    with pytest.raises(ContainerError, match="cannot look into container"):
        await names(cell, record, "/")
