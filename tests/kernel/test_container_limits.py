"""Limits that not every kernel has: each is seen in its cgroup file, or named where it is left out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from support.cell import Cell, argv, open_cell

from orchestra.engine.container.left_out import possible
from orchestra.engine.linux import host
from orchestra.planner.limits import BlockIo, BlockLimit, Resources

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]
MIB = 1 << 20
V2 = host.cgroups().mode == "v2"


@pytest.fixture
async def cell(tmp_path: Path, token: str) -> AsyncIterator[Cell]:
    async with open_cell(tmp_path, token) as opened:
        yield opened


async def shown(cell: Cell, limits: Resources, *names: str) -> list[str]:
    """Run a container with limits; return what its cgroup's files say, "" of one not there."""
    script = "cd /sys/fs/cgroup; for name in $*; do cat $name 2> /dev/null; echo ---; done"
    code, said = await cell.run(*argv(script), "sh", *names, resources=limits)
    assert code == 0
    return [text.strip() for text in said.split("---\n")[: len(names)]]


async def test_quota_and_period(cell: Cell) -> None:
    limits = Resources(cpu_quota_us=25_000, cpu_period_us=50_000)
    assert possible(limits).remarks == ()
    if V2:
        assert await shown(cell, limits, "cpu.max") == ["25000 50000"]
        return
    names = ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")
    assert await shown(cell, limits, *names) == ["25000", "50000"]


@pytest.mark.parametrize("memory", [64 * MIB, None])
async def test_the_killer_is_turned_off_or_stays(cell: Cell, memory: int | None) -> None:
    limits = Resources(oom_kill_disable=True, memory_bytes=memory)
    (said,) = await shown(cell, limits, "memory/memory.oom_control")
    remarks = possible(limits).remarks
    if V2:
        assert said == ""
        assert remarks[0].startswith("oom_kill_disable is left out: ")
        assert len(remarks) == 1
        return
    assert said.splitlines()[0] == "oom_kill_disable 1"
    assert [text.split(" lets ")[0] for text in remarks] == (
        [] if memory else ["oom_kill_disable without mem_limit"]
    )


async def test_swappiness_is_set_or_left_out(cell: Cell) -> None:
    limits = Resources(memory_swappiness=31)
    (said,) = await shown(cell, limits, "memory/memory.swappiness")
    remarks = possible(limits).remarks
    if V2:
        assert said == ""
        assert remarks[0].startswith("mem_swappiness is left out: ")
    else:
        assert (said, remarks) == ("31", ())


WEIGHTS = ("blkio/blkio.bfq.weight", "blkio/blkio.weight", "io.bfq.weight", "io.weight")


async def test_a_weight_is_set_or_left_out(cell: Cell) -> None:
    limits = Resources(block_io=BlockIo(weight=300))
    found = [text.removeprefix("default ") for text in await shown(cell, limits, *WEIGHTS)]
    remarks = possible(limits).remarks
    if remarks:
        assert remarks[0].startswith("blkio_config.weight is left out: ")
        assert not any(found)
    else:
        # Of v2's weights that of the cost model has a scale of its own.
        assert set(found) & {"300", "2930"}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A block device whose scheduler is ours to choose."""
    if given := os.environ.get("ORCHESTRA_TEST_DISK"):
        yield Path(given)
        return
    with (tmp_path / "disk").open("wb") as file:
        file.truncate(16 * MIB)
    command = ["losetup", "--find", "--show", tmp_path / "disk"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this host gives no loop device: {done.stderr}")
    yield Path(done.stdout.strip())
    subprocess.run(["losetup", "--detach", done.stdout.strip()], check=True)


@pytest.fixture
def scheduler(disk: Path) -> Iterator[Path]:
    """The file that names a disk's scheduler; a module that comes goes again: it renames weights."""
    path = Path("/sys/block", disk.name, "queue/scheduler")
    before, loaded = path.read_text(), Path("/sys/module/bfq").exists()
    path.write_text("none")
    yield path
    path.write_text(before.partition("[")[2].partition("]")[0])
    if not loaded and Path("/sys/module/bfq").exists():
        subprocess.run(["modprobe", "-r", "bfq"], check=False)


async def test_a_weight_of_a_disk_is_set_or_left_out(
    cell: Cell, disk: Path, scheduler: Path
) -> None:
    limits = Resources(block_io=BlockIo(weights=(BlockLimit(path=str(disk), value=400),)))
    (remark,) = possible(limits).remarks
    assert remark.startswith(f'blkio_config.weight_device "{disk}" is left out: ')
    await shown(cell, limits)
    try:
        scheduler.write_text("bfq")
    except OSError as err:
        pytest.skip(f"this kernel has no bfq: {err}")
    assert possible(limits).remarks == ()
    files = ("blkio/blkio.bfq.weight_device", "io.bfq.weight")
    lines = "\n".join(await shown(cell, limits, *files)).splitlines()
    number = disk.stat().st_rdev
    assert f"{os.major(number)}:{os.minor(number)} 400" in lines
