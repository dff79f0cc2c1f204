"""storage_opt: the writable layer held to a size by project quotas of ext4 and xfs."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.cell import Cell, argv, open_cell, spec

from orchestra.engine.container import storage
from orchestra.engine.linux import quota
from orchestra.errors import ContainerError

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]
DISK = os.environ.get("ORCHESTRA_TEST_DISK", "")
SIZE = 8 << 20
MAKERS = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-O", "quota,project"),
    "xfs": ("mkfs.xfs", "-q", "-f"),
}


@pytest.fixture(params=list(MAKERS))
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A new file system that holds projects to their limits."""
    subprocess.run([*MAKERS[request.param], DISK], check=True)
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-o", "prjquota", DISK, place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.fixture
async def cell(disk: Path, token: str) -> AsyncIterator[Cell]:
    async with open_cell(disk, token) as opened:
        yield opened


@pytest.mark.disk
async def test_a_layer_is_held_to_its_size(cell: Cell) -> None:
    script = (
        "dd if=/dev/zero of=/big bs=64k count=1000; wc -c < /big; echo x > /dev/shm/x && echo y"
    )
    code, output = await cell.run(*argv(script), storage_bytes=SIZE)
    assert code == 0
    assert "No space left on device" in output or "quota exceeded" in output
    size, tail = output.split()[-2:]
    assert SIZE // 2 < int(size) <= SIZE
    assert tail == "y"
    assert (await cell.run(*argv(script)))[1].split()[-2] == str(64 * 1024 * 1000)


@pytest.mark.disk
async def test_what_is_copied_up_counts_too(cell: Cell) -> None:
    with (cell.layer / "data").open("wb") as file:
        file.write(b"x" * (SIZE + (1 << 20)))
    code, output = await cell.run(*argv("echo more >> /data"), storage_bytes=SIZE)
    assert code == 1
    assert "No space left on device" in output or "quota exceeded" in output


@pytest.mark.disk
async def test_each_has_its_own_and_gives_it_back(cell: Cell) -> None:
    records = [await cell.create(spec("/bin/true", storage_bytes=SIZE)) for _ in range(3)]
    layers = [cell.directory(record) / "rw" for record in records]
    fd = os.open(cell.paths.data, os.O_RDONLY)
    try:
        numbers = []
        for layer in layers:
            inner = os.open(layer / "upper", os.O_RDONLY)
            numbers.append(quota.project_of(inner))
            os.close(inner)
        assert len(set(numbers) - {0}) == 3
        assert not any(quota.is_free(fd, number) for number in numbers)
        for record in records:
            await cell.containers.remove(record)
        os.sync()
        assert all(quota.is_free(fd, number) for number in numbers)
    finally:
        os.close(fd)


@pytest.mark.disk
async def test_a_number_that_is_taken_is_left_alone(cell: Cell) -> None:
    record = await cell.create(spec("/bin/true", storage_bytes=SIZE))
    other = cell.directory(record) / "other"
    other.mkdir()
    storage.limit_layer(other, SIZE, record.id)
    found = []
    for path in (cell.directory(record) / "rw", other):
        fd = os.open(path, os.O_RDONLY)
        found.append(quota.project_of(fd))
        os.close(fd)
    assert found[1] == found[0] + 1


async def test_where_there_are_no_quotas_it_is_refused(tmp_path: Path, token: str) -> None:
    async with open_cell(tmp_path, token) as cell:
        with pytest.raises(ContainerError) as caught:
            await cell.create(spec("/bin/true", storage_bytes=SIZE))
        assert "cannot limit the size of a container" in caught.value.message
        assert "without project quotas" in caught.value.message
        assert "pquota" in (caught.value.hint or "")
        assert cell.store.containers(cell.project) == ()
        assert not list(Path(cell.paths.projects).glob("*/containers/*"))
        fd = os.open(tmp_path, os.O_RDONLY)
        try:
            assert not quota.is_enforced(fd)
            with pytest.raises(OSError, match=r".") as err:
                quota.set_limit(fd, 7, SIZE)
            assert err.value.errno in {errno.ESRCH, errno.ENOSYS}
        finally:
            os.close(fd)
