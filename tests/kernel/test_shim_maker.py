"""The maker of plain containers: it goes into each, and comes home as it was; nobody depends on it."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from anyio.abc import TaskGroup
from support.cell import Cell, kill_now, open_cell, spec, wait_until

from orchestra.engine.container.failures import StartError
from orchestra.engine.runtime.attended import may_be_attended
from orchestra.engine.runtime.config import load_config
from orchestra.engine.shim.identity import read_identity
from orchestra.engine.state.records import ContainerRecord
from orchestra.errors import ContainerError

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

KINDS = ("mnt", "net", "ipc", "uts", "cgroup", "pid", "user")
SECONDS = 60


@pytest.fixture
async def cell(tmp_path: Path, token: str) -> AsyncIterator[Cell]:
    async with open_cell(tmp_path, token) as opened:
        yield opened
        assert opened.launcher_log() == ""


def children_of(pid: int) -> set[int]:
    try:
        return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except FileNotFoundError:
        return set()


def others_of(cell: Cell) -> set[int]:
    """Return the launcher's children that are no containers' shims: nursery and maker."""
    found = (
        read_identity(str(cell.run_directory(record) / "shim.pid"))
        for record in cell.store.containers(cell.project)
    )
    return children_of(cell.launcher_pid) - {who["pid"] for who in found if who is not None}


async def nursery_of(cell: Cell) -> int:
    """Return the nursery of a launcher that knows the filter by now; the maker has ended."""
    for _ in range(2):
        record = await cell.start(spec("/bin/true"))
        await cell.containers.wait(record)
        await cell.containers.remove(record)
    wait_until(lambda: len(others_of(cell)) == 1)
    (nursery,) = others_of(cell)
    return nursery


async def start_with_maker(cell: Cell, nursery: int) -> tuple[ContainerRecord, int]:
    """Start a container; return it and the maker that is there for a while now."""
    for _ in range(50):  # on a busy machine it may be gone before we look
        record = await cell.start(spec("/bin/sleep", "1000"))
        for maker in others_of(cell) - {nursery}:
            return record, maker
    pytest.fail("there is never a maker")


async def stopped_maker(cell: Cell, nursery: int) -> int:
    """Return a maker that has been stopped: it does not end while we look at it."""
    for _ in range(50):
        _, maker = await start_with_maker(cell, nursery)
        with suppress(ProcessLookupError):
            os.kill(maker, signal.SIGSTOP)
            return maker
    pytest.fail("every maker ends before it can be stopped")


async def a_child_more(cell: Cell, before: set[int]) -> None:
    """Wait until the launcher has forked another shim."""
    for _ in range(SECONDS * 100):
        if children_of(cell.launcher_pid) - before:
            return
        await anyio.sleep(0.01)
    pytest.fail("no shim is forked")


def places_of(pid: int) -> dict[str, str]:
    """Return all that a process is in."""
    places = {kind: str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for kind in KINDS}
    root = Path(f"/proc/{pid}/root").stat()
    return {**places, "root": f"{root.st_dev} {root.st_ino}"}


def descriptors(pid: int) -> list[str]:
    kept = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            kept.append(entry.readlink().name.partition(":")[0])
        except FileNotFoundError:
            continue
    return sorted(kept)


async def test_a_maker_comes_home_and_keeps_nothing(cell: Cell) -> None:
    """It has its standard streams, its line to the launcher, and the six that lead home."""
    nursery = await nursery_of(cell)
    home, seen = places_of(cell.launcher_pid), 0
    for _ in range(20):
        _, maker = await start_with_maker(cell, nursery)
        while maker in children_of(cell.launcher_pid):  # it ends by itself
            with suppress(OSError):
                if len(descriptors(maker)) == 10 and places_of(maker) == home:
                    seen += 1
                    break
        if seen == 5:
            return
    pytest.fail("no maker comes home")


async def test_a_maker_ends_when_nothing_is_to_be_made(cell: Cell) -> None:
    nursery = await nursery_of(cell)
    await start_with_maker(cell, nursery)
    wait_until(lambda: others_of(cell) == {nursery})


async def test_a_start_without_its_killed_maker(cell: Cell) -> None:
    nursery = await nursery_of(cell)
    maker = await stopped_maker(cell, nursery)
    kill_now(maker)
    record, after = await start_with_maker(cell, nursery)
    assert after != maker
    assert await cell.exec(record, "/bin/true") == (0, "")


async def test_others_start_while_a_maker_hangs(cell: Cell) -> None:
    """As it would on a volume of a server that does not answer: some wait a little, then none."""
    nursery = await nursery_of(cell)
    maker = await stopped_maker(cell, nursery)
    records = []
    try:
        for _ in range(6):
            with anyio.fail_after(SECONDS):
                records.append(await cell.start(spec("/bin/sleep", "1000")))
    finally:
        os.kill(maker, signal.SIGCONT)
    for record in records:
        assert await cell.exec(record, "/bin/true") == (0, "")
    wait_until(lambda: others_of(cell) == {nursery})  # it has left them all alone, and ended


async def test_a_maker_killed_before_its_work_leaves_nothing_in_the_way(cell: Cell) -> None:
    nursery = await nursery_of(cell)
    maker = await stopped_maker(cell, nursery)
    record = await cell.create(spec("/bin/sleep", "1000"))
    before = children_of(cell.launcher_pid)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(cell.containers.start, record)  # its shim has it made after all
        await a_child_more(cell, before)
        kill_now(maker)
    assert await cell.exec(record, "/bin/true") == (0, "")


class Start:
    """A start, going on, whose maker is stopped in the middle of it."""

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.maker = 0
        self.failed: ContainerError | None = None
        self.over = anyio.Event()

    async def catch(self, nursery: int, tasks: TaskGroup) -> None:
        """Begin starts until one is caught."""
        for _ in range(100):
            _, self.maker = await start_with_maker(self.cell, nursery)
            self.failed, self.over = None, anyio.Event()
            self.record = await self.cell.create(spec("/bin/sleep", "1000"))
            self.place = self.cell.run_directory(self.record)
            tasks.start_soon(self._go)
            if await anyio.to_thread.run_sync(self._stop):
                return
            await self.over.wait()
        pytest.fail("no maker is caught at its work")

    async def _go(self) -> None:
        over = self.over
        try:
            await self.cell.containers.start(self.record)
        except ContainerError as err:
            self.failed = err
        over.set()

    def _stop(self) -> bool:
        """Stop the maker as soon as there is a shim; tell whether it was in time."""
        while not (self.place / "shim.pid").exists():
            pass
        try:
            os.kill(self.maker, signal.SIGSTOP)
            if len(descriptors(self.maker)) > 10 and not (self.place / "init.pid").exists():
                return True
            os.kill(self.maker, signal.SIGCONT)
        except OSError:
            pass
        return False


async def caught(cell: Cell, tasks: TaskGroup) -> Start:
    start = Start(cell)
    await start.catch(await nursery_of(cell), tasks)
    return start


async def starts_again(cell: Cell, start: Start) -> None:
    """Check that nothing is left of a start that failed: it is told, and the next one works."""
    await start.over.wait()
    assert start.failed is not None
    wait_until(lambda: not (start.place / "init.pid").exists())
    record = await cell.containers.start(start.record)
    assert await cell.exec(record, "/bin/true") == (0, "")


async def test_a_maker_killed_at_its_work_fails_that_start_alone(cell: Cell) -> None:
    async with anyio.create_task_group() as tasks:
        start = await caught(cell, tasks)
        kill_now(start.maker)
        await start.over.wait()
        if start.failed is None:  # with cgroup v2 it gives its orders late: there were none yet
            assert await cell.exec(start.record, "/bin/true") == (0, "")
            return
        assert "was killed" in str(start.failed)
        await starts_again(cell, start)


async def test_a_maker_at_its_work_ends_with_the_shim(cell: Cell) -> None:
    """It is stopped, as it would be by a mount that hangs: its lock is in nobody's way."""
    async with anyio.create_task_group() as tasks:
        start = await caught(cell, tasks)
        kill_now(cell.pid(start.record, "shim.pid"))
        wait_until(lambda: start.maker not in children_of(cell.launcher_pid))
        await starts_again(cell, start)


async def test_a_start_goes_on_without_its_launcher(cell: Cell) -> None:
    async with anyio.create_task_group() as tasks:
        start = await caught(cell, tasks)
        kill_now(cell.launcher_pid)
        os.kill(start.maker, signal.SIGCONT)
        await start.over.wait()
        assert start.failed is None
        assert await cell.exec(start.record, "/bin/true") == (0, "")


async def test_what_cannot_be_made_is_told_and_leaves_nothing(cell: Cell) -> None:
    nursery = await nursery_of(cell)
    _, maker = await start_with_maker(cell, nursery)
    record = await cell.create(spec("/bin/nothing-there"))
    with pytest.raises(StartError, match="no such file") as raised:
        await cell.containers.start(record)
    assert raised.value.code == 127
    assert not (cell.run_directory(record) / "shim.pid").exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/{record.id}"))
    wait_until(lambda: maker not in children_of(cell.launcher_pid))
    after, _ = await start_with_maker(cell, nursery)
    assert await cell.exec(after, "/bin/true") == (0, "")


LOOK = r"""
cut -d' ' -f4- /proc/self/mountinfo | sed -E 's#/[^ ]*(containers|snapshots)/[^ ,]*#PLACE#g'
grep -E 'Cap|Seccomp|NoNew|Uid|Gid|Groups' /proc/self/status
env | sort | grep -v HOSTNAME; pwd; id; ulimit -a; umask
ls -ln /dev /dev/pts /dev/mqueue | sed -E 's/ [A-Z][a-z]{2} +[0-9]+ [0-9:]+//'
ls /proc/self/fd; cat /proc/self/oom_score_adj /proc/1/comm
cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced
for kind in mnt net ipc uts cgroup pid user; do test -e /proc/self/ns/$kind && echo $kind; done
sed -E 's#[0-9a-f]{64}#ID#' /proc/self/cgroup; cat /etc/hosts /etc/resolv.conf | wc -l
touch /here 2>&1; touch /tmp/here 2>&1; mount -t tmpfs none /mnt 2>&1; head -c 1 /proc/kcore 2>&1 | wc -c
ip link | sed -E 's/[0-9]+: //; s/@.*//'; stat -c '%u %g %a' /dev/stdout; echo done
"""
VARIETY: dict[str, dict[str, object]] = {
    "plain": {},
    "user": {"user": "alice", "working_dir": "/home/alice", "cap_add": ("NET_ADMIN",)},
    "shut": {"read_only": True, "security_opt": ("no-new-privileges:true",)},
    "init": {"init": True, "sysctls": {"kernel.shm_rmid_forced": "1"}},
    "open": {"privileged": True, "pid_mode": "host", "ipc_mode": "host", "uts_mode": "host"},
}


@pytest.mark.parametrize("kind", VARIETY)
async def test_a_maker_makes_what_a_shims_child_makes(cell: Cell, kind: str) -> None:
    nursery = await nursery_of(cell)
    changes = VARIETY[kind]

    async def look() -> str:
        record = await cell.start(spec("/bin/sh", "-c", LOOK, **changes))
        assert may_be_attended(load_config(str(cell.directory(record) / "bundle")))
        await cell.containers.wait(record)
        return cell.output(record)

    by_maker = await look()
    maker = await stopped_maker(cell, nursery)
    try:
        by_child = await look()
    finally:
        os.kill(maker, signal.SIGCONT)
    assert by_maker.endswith("done\n")
    assert by_maker == by_child
