"""The maker of plain containers: it goes into each, and comes home as it was; nobody depends on it."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from anyio.abc import TaskGroup
from support.cell import Cell, children_of, kill_now, open_cell, spec, wait_until

from orchestra.engine.container.failures import StartError
from orchestra.engine.container.launching import LauncherClient
from orchestra.engine.linux import host
from orchestra.engine.runtime.attended import may_be_attended
from orchestra.engine.runtime.config import load_config
from orchestra.engine.shim.identity import read_identity
from orchestra.engine.state.records import ContainerRecord
from orchestra.errors import ContainerError

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

ON_V2 = host.cgroups().mode == "v2"
KINDS = ("mnt", "net", "ipc", "uts", "cgroup", "pid", "user")
SECONDS = 60


@pytest.fixture
async def cell(tmp_path: Path, token: str) -> AsyncIterator[Cell]:
    async with open_cell(tmp_path, token) as opened:
        yield opened
        assert opened.launcher_log() == ""


def makers_of(cell: Cell) -> set[int]:
    return {pid for pid in children_of(cell.launcher_pid) if name_of(pid) == "orchestra-maker"}


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def spares_of(cell: Cell) -> set[int]:
    """Return the shims that wait to be called: they lead sessions, as all but the nursery do."""
    found = (
        read_identity(str(cell.run_directory(record) / "shim.pid"))
        for record in cell.store.containers(cell.project)
    )
    shims = {who["pid"] for who in found if who is not None}
    others = children_of(cell.launcher_pid) - shims - makers_of(cell)
    return {pid for pid in others if leads_session(pid)}


def leads_session(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


async def settled(cell: Cell) -> None:
    """Have the launcher know the filter; the maker has ended, and what waited for a call."""
    for _ in range(2):
        record = await cell.start(spec("/bin/true"))
        await cell.containers.wait(record)
        await cell.containers.remove(record)
    at_rest(cell)


def at_rest(cell: Cell) -> None:
    wait_until(lambda: not makers_of(cell) and not spares_of(cell))


async def start_with_maker(cell: Cell) -> tuple[ContainerRecord, int]:
    """Start a container; return it and the maker that is there for a while now."""
    for _ in range(50):  # on a busy machine it may be gone before we look
        record = await cell.start(spec("/bin/sleep", "1000"))
        for maker in makers_of(cell):
            return record, maker
    pytest.fail("there is never a maker")


async def stopped_maker(cell: Cell) -> int:
    """Return a maker that has been stopped: it does not end while we look at it."""
    for _ in range(50):
        _, maker = await start_with_maker(cell)
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
    await settled(cell)
    home, seen = places_of(cell.launcher_pid), 0
    for _ in range(20):
        _, maker = await start_with_maker(cell)
        while maker in children_of(cell.launcher_pid):  # it ends by itself
            with suppress(OSError):
                if len(descriptors(maker)) == 10 and places_of(maker) == home:
                    seen += 1
                    break
        if seen == 5:
            return
    pytest.fail("no maker comes home")


async def test_a_maker_ends_when_nothing_is_to_be_made(cell: Cell) -> None:
    await settled(cell)
    await start_with_maker(cell)
    at_rest(cell)


async def test_a_start_without_its_killed_maker(cell: Cell) -> None:
    await settled(cell)
    maker = await stopped_maker(cell)
    kill_now(maker)
    record, after = await start_with_maker(cell)
    assert after != maker
    assert await cell.exec(record, "/bin/true") == (0, "")


async def test_others_start_while_a_maker_hangs(cell: Cell) -> None:
    """As it would on a volume of a server that does not answer: they wait a little, then not.

    Others hear of them meanwhile.
    """
    await settled(cell)
    maker = await stopped_maker(cell)
    launcher = await LauncherClient.ensure(cell.paths, cell.project)
    records = []
    try:
        async with aclosing(launcher.sockets()) as stream:
            for _ in range(6):
                with anyio.fail_after(SECONDS):
                    records.append(await cell.start(spec("/bin/sleep", "1000")))
            heard: set[str] = set()
            with anyio.fail_after(SECONDS):
                while not heard.issuperset(record.id for record in records):
                    heard.add((await anext(stream)).id)
    finally:
        os.kill(maker, signal.SIGCONT)
    for record in records:
        assert await cell.exec(record, "/bin/true") == (0, "")
    at_rest(cell)  # it has left them all alone, and ended


async def test_a_maker_killed_before_its_work_leaves_nothing_in_the_way(cell: Cell) -> None:
    await settled(cell)
    maker = await stopped_maker(cell)
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

    async def catch(self, tasks: TaskGroup) -> None:
        """Begin starts until one is caught."""
        for _ in range(100):
            _, self.maker = await start_with_maker(self.cell)
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
    await settled(cell)
    await start.catch(tasks)
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
        cell.kill_launcher()
        os.kill(start.maker, signal.SIGCONT)
        await start.over.wait()
        assert start.failed is None
        assert await cell.exec(start.record, "/bin/true") == (0, "")


async def test_what_cannot_be_made_is_told_and_leaves_nothing(cell: Cell) -> None:
    await settled(cell)
    _, maker = await start_with_maker(cell)
    record = await cell.create(spec("/bin/nothing-there"))
    with pytest.raises(StartError, match="no such file") as raised:
        await cell.containers.start(record)
    assert raised.value.code == 127
    assert not (cell.run_directory(record) / "shim.pid").exists()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/{record.id}"))
    wait_until(lambda: maker not in children_of(cell.launcher_pid))
    after, _ = await start_with_maker(cell)
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
    """By a maker, by one that has made a part ahead, by a child of the shim."""
    await settled(cell)
    changes = VARIETY[kind]

    async def look() -> tuple[str, int]:
        record = await cell.start(spec("/bin/sh", "-c", f"{LOOK}exec sleep 1000", **changes))
        assert may_be_attended(load_config(str(cell.directory(record) / "bundle")))
        await anyio.to_thread.run_sync(wait_until, lambda: cell.output(record).endswith("done\n"))
        shim = cell.pid(record, "shim.pid")
        await cell.containers.kill(record)
        await cell.containers.wait(record)
        return cell.output(record), shim

    by_maker, _ = await look()
    if kind != "open" and not ON_V2:
        assert in_order(await by_spare(cell, look)) == in_order(by_maker)
    maker = await stopped_maker(cell)
    try:
        by_child, _ = await look()
    finally:
        os.kill(maker, signal.SIGCONT)
    assert by_maker == by_child


def in_order(text: str) -> list[str]:
    """Return lines in an order of their own: mounts made ahead have lower numbers."""
    return sorted(text.splitlines())


async def by_spare(cell: Cell, look: Callable[[], Awaitable[tuple[str, int]]]) -> str:
    """Return what is seen in a container of which a part was made ahead."""
    for _ in range(50):  # on a busy machine it may be gone before it is used
        spares = await spares_soon(cell)
        seen, shim = await look()
        if shim in spares:
            return seen
    pytest.fail("nothing that was made ahead is ever used")


async def spares_soon(cell: Cell) -> set[int]:
    """Return the shims that wait to be called, with their first process, when there is one."""
    for _ in range(100):
        if spares := {pid for pid in spares_of(cell) if children_of(pid)}:
            return spares
        await anyio.sleep(0.002)
    return set()


async def with_spare(cell: Cell) -> int:
    """Return a shim that waits to be called."""
    for _ in range(50):
        await cell.start(spec("/bin/sleep", "1000"))
        for spare in await spares_soon(cell):
            return spare
    pytest.fail("nothing is ever made ahead")


def has_ended(pid: int) -> bool:
    """Tell whether a process is gone, or only not collected yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


async def by_another_way(cell: Cell, spare: int, **changes: object) -> None:
    """Check that a container starts, and not from what was made ahead."""
    record = await cell.start(spec("/bin/sleep", "1000", **changes))
    assert cell.pid(record, "shim.pid") != spare
    assert await cell.exec(record, "/bin/true") == (0, "")


@pytest.mark.cgroup_v1
async def test_a_start_takes_what_was_made_ahead_for_another_size_of_shm(cell: Cell) -> None:
    """Its shim, at least: the first process and what is mounted are made anew."""
    await settled(cell)
    for _ in range(50):
        spare = await with_spare(cell)
        record = await cell.start(spec("/bin/sleep", "1000", shm_size_bytes=7 << 20))
        code, seen = await cell.exec(record, "/bin/grep", "/dev/shm", "/proc/mounts")
        assert code == 0
        assert "size=7168k" in seen
        if cell.pid(record, "shim.pid") == spare:
            return
    pytest.fail("nothing that was made ahead is ever used")


@pytest.mark.cgroup_v1
async def test_a_start_without_the_killed_shim_that_waited(cell: Cell) -> None:
    await settled(cell)
    spare = await with_spare(cell)
    kill_now(spare)
    await by_another_way(cell, spare)


@pytest.mark.cgroup_v1
@pytest.mark.parametrize("who", ["maker", "launcher"])
async def test_what_was_made_ahead_ends_with(cell: Cell, who: str) -> None:
    await settled(cell)
    spare = await with_spare(cell)
    first = children_of(spare)
    for pid in makers_of(cell) if who == "maker" else {cell.launcher_pid}:
        kill_now(pid)
    wait_until(lambda: all(map(has_ended, (spare, *first))))
    await by_another_way(cell, spare)


@pytest.mark.cgroup_v1
async def test_a_start_goes_on_where_the_maker_hangs_that_has_made_a_part(cell: Cell) -> None:
    await settled(cell)
    for _ in range(50):
        spare = await with_spare(cell)
        for maker in makers_of(cell):
            os.kill(maker, signal.SIGSTOP)
            try:
                record = await cell.start(spec("/bin/sleep", "1000"))
            finally:
                os.kill(maker, signal.SIGCONT)
            assert await cell.exec(record, "/bin/true") == (0, "")
            if cell.pid(record, "shim.pid") == spare:
                return
    pytest.fail("nothing that was made ahead is ever used")
