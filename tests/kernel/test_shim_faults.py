"""What a killed shim, a killed launcher, floods and full logs may not do."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import threading
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest
from support.cell import Cell, argv, kill_now, open_cell, spec, wait_until
from support.ports import free_port

from orchestra.engine.container.launching import LauncherClient
from orchestra.engine.container.logs import read_logs
from orchestra.engine.launcher.midwife import Midwife
from orchestra.engine.launcher.nursery import Nursery
from orchestra.engine.linux import forks, process
from orchestra.engine.shim.protocol import Listen
from orchestra.engine.shim.pump import Loop
from orchestra.engine.state.records import ContainerRecord
from orchestra.errors import ContainerError
from orchestra.planner.desired import LogSpec
from orchestra.planner.observed import Phase

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]

COUNTING = "i=0; while [ ! -e /stop ]; do echo $i; i=$((i+1)); usleep 500; done; exit 9"


@pytest.fixture
async def cell(tmp_path: Path, token: str) -> AsyncIterator[Cell]:
    async with open_cell(tmp_path, token) as opened:
        yield opened
        assert opened.launcher_log() == ""


async def stop_counting(cell: Cell, record: ContainerRecord) -> None:
    """The init may end before touch does: then the kernel kills that (man 7 pid_namespaces)."""
    code, output = await cell.exec(record, "/bin/touch", "/stop")
    assert (code in {0, 137}, output) == (True, "")


def whole(numbers: list[int]) -> bool:
    """No number is missing; what a shim had logged when it was killed, the next may log again."""
    turns = [two for one, two in itertools.pairwise([-1, *numbers]) if two != one + 1]
    return set(numbers) == set(range(max(numbers) + 1)) and len(turns) <= 1


async def test_a_killed_shim_is_replaced_and_no_line_is_lost(cell: Cell) -> None:
    record = await cell.start(spec(*argv(COUNTING)))
    wait_until(lambda: len(cell.lines(record)) > 10)
    old = cell.pid(record, "shim.pid")
    kill_now(old)
    assert cell.containers.phase(record)[0] is Phase.RUNNING
    wait_until(lambda: cell.pid(record, "shim.pid") != old)
    seen = len(cell.lines(record))
    wait_until(lambda: len(cell.lines(record)) > seen + 10)
    (cell.directory(record) / "rw/upper").exists()
    await stop_counting(cell, record)
    ended = await cell.containers.wait(record)
    assert ended is not None
    assert ended["code"] == 9
    numbers = [int(line["log"]) for line in cell.lines(record)]
    assert whole(numbers)


async def test_containers_outlive_their_launcher(cell: Cell) -> None:
    record = await cell.start(spec(*argv(COUNTING)))
    cell.kill_launcher()
    seen = len(cell.lines(record))
    wait_until(lambda: len(cell.lines(record)) > seen + 10)
    assert cell.containers.phase(record)[0] is Phase.RUNNING
    await stop_counting(cell, record)
    ended = await cell.containers.wait(record)
    assert ended is not None
    assert ended["code"] == 9


async def test_a_new_launcher_adopts_what_lost_both(cell: Cell) -> None:
    record = await cell.start(spec(*argv(COUNTING)))
    cell.kill_launcher()
    kill_now(cell.pid(record, "shim.pid"))
    assert cell.containers.phase(record)[0] is Phase.RUNNING
    assert cell.containers.shim_pidfd(record) is None
    await cell.containers.adopt(record)
    pidfd = cell.containers.shim_pidfd(record)
    assert pidfd is not None
    os.close(pidfd)
    await stop_counting(cell, record)
    assert await cell.containers.wait(record) is not None
    numbers = [int(line["log"]) for line in cell.lines(record)]
    assert whole(numbers)


@pytest.mark.parametrize(("script", "code"), [("exit 9", 9), ("kill -9 $$", 137)])
async def test_the_end_of_one_that_a_stranger_reaps_is_known(
    cell: Cell, script: str, code: int
) -> None:
    """The stranger is this process, which is the next subreaper above, as a host's init is."""
    go = f"while [ ! -e /go ]; do usleep 1000; done; sh -c '{script}'; exit $?"
    record = await cell.start(spec(*argv(go)))
    init = cell.pid(record, "init.pid")
    cell.kill_launcher()
    kill_now(cell.pid(record, "shim.pid"))
    await cell.containers.adopt(record)
    statuses: list[int] = []
    reaper = threading.Thread(target=lambda: statuses.append(os.waitpid(init, 0)[1]))
    reaper.start()
    await cell.exec(record, "/bin/touch", "/go")
    ended = await cell.containers.wait(record)
    reaper.join()
    assert statuses == [code << 8]
    assert ended is not None
    assert (ended["code"], ended.get("error")) == (code, None)


def test_a_launcher_that_is_killed_while_a_shim_is_forked_leaves_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fork() -> int:
        launcher = os.getppid()
        os.kill(launcher, signal.SIGKILL)
        wait_until(lambda: os.getppid() != launcher)
        return os.getpid()

    monkeypatch.setattr(forks, "sibling_forker", lambda: fork)
    launcher = os.fork()
    if launcher == 0:
        passed = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        Nursery(Midwife(lambda _, __: 0, Loop(), "")).bear("/nowhere", passed)
        os._exit(0)
    assert process.wait_exit(launcher)["signal"] == signal.SIGKILL
    _, status = os.waitpid(-1, 0)  # the nursery's: this process is the next subreaper
    assert os.waitstatus_to_exitcode(status) == 0
    assert capfd.readouterr().err == ""


async def test_everything_killed_is_lost_until_cleaned_up(cell: Cell) -> None:
    record = await cell.start(spec("/bin/sleep", "1000"))
    cell.kill_launcher()
    shim, init = cell.pid(record, "shim.pid"), cell.pid(record, "init.pid")
    kill_now(shim)
    kill_now(init)
    assert cell.containers.phase(record)[0] is Phase.LOST
    await cell.containers.start(record)
    assert cell.containers.phase(record)[0] is Phase.RUNNING


async def test_sockets_are_held_and_handed_out(cell: Cell) -> None:
    port = free_port()
    wanted: Listen = {
        "protocol": "tcp",
        "address": "127.0.0.1",
        "port": port,
        "container_port": 80,
    }
    record = await cell.create(spec("/bin/sleep", "1000"))
    await cell.start_with(record, listen=[wanted], dns=True)
    for fresh in (False, True):
        launcher = await LauncherClient.ensure(cell.paths, cell.project)
        with anyio.fail_after(60):
            async with aclosing(launcher.sockets()) as stream:
                async for sockets in stream:
                    assert sockets.id == record.id
                    assert sockets.listen == (wanted,)
                    assert sockets.dns_udp is not None
                    assert sockets.dns_tcp is not None
                    with socket.socket(fileno=sockets.listeners[0]) as listener:
                        assert listener.getsockname() == ("127.0.0.1", port)
                    os.close(sockets.dns_udp)
                    os.close(sockets.dns_tcp)
                    break
        if not fresh:
            cell.kill_launcher()


async def test_subscribers_hear_of_the_end(cell: Cell) -> None:
    record = await cell.create(spec("/bin/sleep", "1000"))
    await cell.start_with(record)
    launcher = await LauncherClient.ensure(cell.paths, cell.project)
    async with aclosing(launcher.sockets()) as stream:
        first = await anext(stream)
        await cell.containers.kill(record)
        second = await anext(stream)
    assert (first.id, first.gone) == (record.id, False)
    assert (second.id, second.gone) == (record.id, True)


async def test_a_flood_stays_bounded_and_whole(cell: Cell) -> None:
    size = 5_000_000
    script = f"yes 0123456789 | head -c {size}"
    options = LogSpec(options={"max-size": "-1"})
    record = await cell.start(spec(*argv(script), logging=options))
    ended = await cell.containers.wait(record)
    assert ended is not None
    assert sum(len(line["log"]) for line in cell.lines(record)) == size


async def test_a_long_line_and_binary_are_cut_in_pieces(cell: Cell) -> None:
    script = "head -c 1000000 /dev/zero | tr '\\0' x; echo; printf 'a\\377b\\n'"
    record = await cell.start(spec(*argv(script)))
    await cell.containers.wait(record)
    lines = cell.lines(record)
    assert max(len(line["log"]) for line in lines) <= 16 * 1024
    assert cell.output(record) == "x" * 1_000_000 + "\n" + "a�b\n"


async def test_rotation_keeps_what_was_asked(cell: Cell) -> None:
    options = LogSpec(options={"max-size": "10k", "max-file": "3"})
    record = await cell.start(spec(*argv("seq 1 2000"), logging=options))
    await cell.containers.wait(record)
    files = sorted(path.name for path in cell.directory(record).glob("log.jsonl*"))
    assert files == ["log.jsonl", "log.jsonl.1", "log.jsonl.2"]
    assert all((cell.directory(record) / name).stat().st_size <= 10 * 1024 for name in files)
    numbers = [int(line.text) async for line in read_logs(cell.paths, record)]
    assert numbers == list(range(numbers[0], 2001))


async def test_a_second_start_leaves_the_first_alone(cell: Cell) -> None:
    record = await cell.start(spec("/bin/sleep", "1000"))
    shim, init = cell.pid(record, "shim.pid"), cell.pid(record, "init.pid")
    with pytest.raises(ContainerError, match="it runs already"):
        await cell.start_with(record)
    assert (cell.pid(record, "shim.pid"), cell.pid(record, "init.pid")) == (shim, init)


async def test_a_shim_stands_outside_of_its_containers_namespaces(cell: Cell) -> None:
    """Whatever it took to make them has ended: nothing but the container holds them."""
    record = await cell.start(spec("/bin/sleep", "1000"))
    shim, init = cell.pid(record, "shim.pid"), cell.pid(record, "init.pid")
    children = Path(f"/proc/{shim}/task/{shim}/children").read_text().split()
    assert children == [str(init)]
    for kind in ("mnt", "net"):
        own = Path(f"/proc/self/ns/{kind}").readlink()
        assert Path(f"/proc/{shim}/ns/{kind}").readlink() == own
        assert Path(f"/proc/{init}/ns/{kind}").readlink() != own


async def test_the_supervised_program_is_started_again(cell: Cell, tmp_path: Path) -> None:
    launcher = await LauncherClient.ensure(cell.paths, cell.project)
    marks = tmp_path / "marks"
    script = f"echo x >> {marks}; [ $(wc -l < {marks}) -lt 3 ] && kill -9 $$; exit 0"
    first = await launcher.supervise(["/bin/sh", "-c", script], {"PATH": "/usr/bin:/bin"})
    assert first > 0
    wait_until(lambda: marks.exists() and len(marks.read_text().split()) == 3)


async def test_a_stranger_is_hung_up_on(cell: Cell) -> None:
    """Even where somebody opened up the directory and the socket."""
    await LauncherClient.ensure(cell.paths, cell.project)
    directory = Path(cell.paths.project_run(cell.project))
    directory.chmod(0o755)
    (directory / "launcher.sock").chmod(0o666)
    answers = {}
    for uid in (0, 65534):
        pid = os.fork()
        if pid == 0:
            code = 2
            try:
                os.chdir(directory)
                os.setresuid(uid, uid, uid)
                with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
                    sock.settimeout(60)
                    sock.connect("launcher.sock")
                    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                        sock.send(b'{"op":"nothing"}')
                    with contextlib.suppress(ConnectionResetError):
                        code = 0 if sock.recv(1000) else 1
                        os._exit(code)
                    code = 1
            finally:
                os._exit(code)
        answers[uid] = process.wait_exit(pid)["code"]
    assert answers == {0: 0, 65534: 1}


async def test_nothing_leaks_over_many_starts(cell: Cell) -> None:
    record = await cell.create(spec("/bin/true"))
    for _ in range(2):  # the first teaches the launcher a filter, the second has a nursery with it
        record = await cell.containers.start(record)
        await cell.containers.wait(record)
    pid = cell.launcher_pid
    before = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    for _ in range(40):
        record = await cell.containers.start(record)
        await cell.containers.wait(record)
    who = process.identity(pid)
    assert process.is_alive(who)
    wait_until(lambda: len(list(Path(f"/proc/{pid}/fd").iterdir())) <= before)
    children = Path(f"/proc/{pid}/task/{pid}/children")
    nursery = 1  # where shims are forked: it stays as long as the launcher
    wait_until(lambda: len(children.read_text().split()) <= nursery)


async def test_quit_waits_for_the_last_container(cell: Cell) -> None:
    record = await cell.start(spec("/bin/sleep", "1000"))
    launcher = await LauncherClient.ensure(cell.paths, cell.project)
    who = process.identity(cell.launcher_pid)
    await launcher.quit()
    assert await cell.exec(record, "/bin/true") == (0, "")
    assert process.is_alive(who)
    await cell.containers.kill(record)
    await cell.containers.wait(record)
    wait_until(lambda: not process.is_alive(who))
    started = time.monotonic()
    await cell.containers.start(record)
    assert time.monotonic() - started < 20
