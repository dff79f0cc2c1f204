"""One-shot runs, probes and terminals: what builds, healthchecks and exec stand on."""

from __future__ import annotations

import os
import pty
import socket
import termios
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from support.cell import Cell, argv, children_of, image, make_root, open_cell, spec, wait_until

from orchestra.engine.container.exec_direct import exec_in
from orchestra.engine.container.exec_plain import PlainExec, request_of
from orchestra.engine.container.exec_request import ExecOptions, exec_request
from orchestra.engine.container.exec_talk import talk
from orchestra.engine.container.failures import StartError
from orchestra.engine.container.healthcheck import probe
from orchestra.engine.container.launching import private_launcher
from orchestra.engine.container.oneshot import OneShot, run_once
from orchestra.engine.linux import process
from orchestra.engine.linux.dialing import dial
from orchestra.engine.plainly import exec_plainly
from orchestra.engine.shim.protocol import LAUNCHER_SOCKET
from orchestra.engine.state.plain import NotPlainError

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]


@pytest.fixture
async def cell(tmp_path: Path, token: str) -> AsyncIterator[Cell]:
    async with open_cell(tmp_path, token) as opened:
        yield opened


@pytest.fixture
def shot(tmp_path: Path, token: str) -> OneShot:
    layer = make_root(tmp_path / "layer")
    (layer / "proc").rmdir()
    for name in ("upper", "work", "scratch"):
        (tmp_path / name).mkdir()
    return OneShot(
        id="step-1",
        project=token,
        directory=str(tmp_path / "scratch"),
        layers=(str(layer),),
        upper=str(tmp_path / "upper"),
        work=str(tmp_path / "work"),
        args=("/bin/sh", "-c", "echo made > /made; echo said; echo $A >&2; exit 4"),
        env=("A=b",),
        resolv_conf="nameserver 192.0.2.1\n",
    )


async def test_the_upper_directory_holds_the_difference_alone(shot: OneShot) -> None:
    output: list[tuple[str, bytes]] = []
    async with private_launcher() as launcher:
        code = await run_once(shot, launcher=launcher, output=lambda *each: output.append(each))
    assert code == 4
    assert sorted(output) == [("stderr", b"b\n"), ("stdout", b"said\n")]
    upper = Path(shot.upper)
    found = sorted(str(path.relative_to(upper)) for path in upper.rglob("*") if path.is_file())
    assert found == ["made"]
    assert not (upper / "proc").exists()


async def test_what_cannot_be_run_raises(shot: OneShot) -> None:
    wrong = replace(shot, args=("/nowhere",))
    async with private_launcher() as launcher:
        with pytest.raises(StartError, match="nowhere"):
            await run_once(wrong, launcher=launcher, output=lambda *_: None)


async def test_a_cancelled_run_is_killed(shot: OneShot) -> None:
    pids: list[int] = []
    endless = replace(shot, args=("/bin/sh", "-c", "echo up; sleep 1000"))
    async with private_launcher() as launcher:
        with anyio.CancelScope() as scope:

            def heard(_stream: str, _data: bytes) -> None:
                found = Path(shot.directory, "run/init.pid").read_text()
                pids.append(int(found.split(":")[1].split(",")[0]))
                scope.cancel()

            await run_once(endless, launcher=launcher, output=heard)
    assert pids
    wait_until(lambda: not Path(f"/proc/{pids[0]}").exists())


async def test_a_probe_tells_code_and_output(cell: Cell) -> None:
    record = await cell.start(spec("/bin/sleep", "1000"))
    second = timedelta(seconds=60)
    good = await probe(cell.paths, record, ("CMD", "/bin/echo", "fine"), second)
    assert (good.exit_code, good.output) == (0, "fine\n")
    bad = await probe(cell.paths, record, ("CMD-SHELL", "echo no >&2; exit 3"), second)
    assert (bad.exit_code, bad.output) == (3, "no\n")
    missing = await probe(cell.paths, record, ("CMD", "/nowhere"), second)
    assert missing.exit_code == 127


async def test_a_probe_uses_the_images_shell(cell: Cell) -> None:
    record = await cell.start(spec("/bin/sleep", "1000"), image(shell=("/bin/echo", "shell")))
    found = await probe(cell.paths, record, ("CMD-SHELL", "a text"), timedelta(seconds=60))
    assert found.output == "shell a text\n"


async def test_a_hanging_probe_is_killed(cell: Cell) -> None:
    record = await cell.start(spec("/bin/sleep", "1000"))
    test = ("CMD-SHELL", "echo begun; sleep 777")
    found = await probe(cell.paths, record, test, timedelta(milliseconds=300))
    assert found.exit_code == -1
    assert "no end within 0.3 s" in found.output
    with anyio.fail_after(60):
        while (await cell.exec(record, *argv("ps -o args | grep -c '[s]leep 777'")))[1] != "0\n":
            pass


async def test_a_flooding_probe_is_bounded(cell: Cell) -> None:
    record = await cell.start(spec("/bin/sleep", "1000"))
    test = ("CMD-SHELL", "head -c 3000000 /dev/zero | tr '\\0' x")
    found = await probe(cell.paths, record, test, timedelta(seconds=60))
    assert found.exit_code == 0
    assert len(found.output) == 4096


async def test_exec_with_a_terminal(cell: Cell) -> None:
    record = await cell.start(spec("/bin/sleep", "1000"))
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    said = bytearray()

    async def type_when_asked() -> None:
        while b"word?" not in said:
            await anyio.wait_readable(ours)
            said.extend(os.read(ours, 65536))
        os.write(ours, b"word\n")

    script = "tty; stty size; echo word?; read x; echo got $x; exit 6"
    options = ExecOptions(args=("/bin/sh", "-c", script), tty=True)
    termios.tcsetwinsize(theirs, (33, 99))
    try:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(type_when_asked)
                code = await anyio.to_thread.run_sync(
                    partial(exec_in, cell.paths, record, options, stdin=theirs, stdout=theirs)
                )
            while b"got word\r\n" not in said:  # a worker of the kernel carries it over
                await anyio.wait_readable(ours)
                said.extend(os.read(ours, 65536))
    finally:
        os.close(ours)
        os.close(theirs)
    assert code == 6
    lines = said.decode().split("\r\n")
    assert lines[0].startswith("/dev/pts/")
    assert lines[1:3] == ["33 99", "word?"]
    assert "got word" in lines


async def test_exec_passes_input_on(cell: Cell) -> None:
    record = await cell.start(spec("/bin/sleep", "1000"))
    source, feed = os.pipe()
    sink, target = os.pipe()
    os.write(feed, b"one\ntwo\n")
    os.close(feed)
    try:
        options = ExecOptions(args=("/bin/wc", "-l"))
        code = await anyio.to_thread.run_sync(
            partial(exec_in, cell.paths, record, options, stdin=source, stdout=target)
        )
        assert (code, os.read(sink, 100)) == (0, b"2\n")
    finally:
        for fd in (source, sink, target):
            os.close(fd)


async def test_an_exec_told_from_documents_is_the_same(cell: Cell) -> None:
    one = await cell.start(spec("/bin/sleep", "1000"))
    data = str(cell.paths.project(one.spec.project))
    run = str(cell.paths.project_run(one.spec.project))

    def wanted(service: str = one.spec.service, index: int = 0) -> PlainExec:
        return PlainExec(
            service=service,
            arguments=["/bin/true", "x"],
            index=index,
            environment={"A": "b"},
            cwd="tmp",
            tty=False,
            privileged=True,
            stdin=False,
            detach=False,
        )

    options = ExecOptions(
        args=("/bin/true", "x"), environment={"A": "b"}, cwd="tmp", privileged=True
    )
    whole = exec_request(cell.paths, one, options)
    assert request_of(data, run, wanted()) == whole
    assert request_of(data, run, wanted(index=one.spec.number)) == whole
    for other in (wanted("other"), wanted(index=one.spec.number + 1)):
        with pytest.raises(NotPlainError):
            request_of(data, run, other)
    await cell.containers.pause(one)
    with pytest.raises(NotPlainError):
        request_of(data, run, wanted())
    await cell.containers.resume(one)
    assert request_of(data, run, wanted()) == whole
    await cell.containers.stop(one, timeout=timedelta(milliseconds=10))
    with pytest.raises(NotPlainError):
        request_of(data, run, wanted())


def is_at_rest(launcher: int) -> bool:
    """Tell whether a launcher has one container's shim and its nursery, and nothing made ahead."""
    children = children_of(launcher)
    try:
        names = [process.read_text(f"/proc/{child}/comm").strip() for child in children]
    except OSError:  # it has just ended
        return False
    return len(children) <= 2 and "orchestra-maker" not in names


async def test_a_process_waits_for_a_request_that_was_announced(cell: Cell) -> None:
    one = await cell.start(spec("/bin/sleep", "1000"))
    wait_until(lambda: is_at_rest(cell.launcher_pid))
    run = str(cell.paths.project_run(one.spec.project))

    def announce() -> tuple[int, int]:
        before = children_of(cell.launcher_pid)
        launcher = dial(run, LAUNCHER_SOCKET)
        os.write(launcher, b'{"op":"exec"}')
        wait_until(lambda: children_of(cell.launcher_pid) - before)
        return launcher, (children_of(cell.launcher_pid) - before).pop()

    launcher, waiting = announce()
    os.close(launcher)
    wait_until(lambda: waiting not in children_of(cell.launcher_pid))
    launcher, waiting = announce()
    request = exec_request(cell.paths, one, ExecOptions(args=("/bin/sh", "-c", "exit 7")))
    assert await anyio.to_thread.run_sync(partial(talk, launcher, request, stdin=None)) == 7
    wait_until(lambda: waiting not in children_of(cell.launcher_pid))


async def test_an_exec_that_nobody_hears_is_left_to_others(cell: Cell) -> None:
    one = await cell.start(spec("/bin/sleep", "1000"))
    run = cell.paths.project_run(one.spec.project)
    cell.kill_launcher()
    heard: list[bytes] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(run)  # its path may be longer than a socket's name
        Path(LAUNCHER_SOCKET).unlink()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(LAUNCHER_SOCKET)

    def hang_up() -> None:
        client, _ = listener.accept()
        with client:
            heard.append(client.recv(4096))

    def wanted(make: type[PlainExec]) -> PlainExec:
        server.join()
        return make(
            service=one.spec.service,
            arguments=["/bin/true"],
            index=0,
            environment={},
            cwd=None,
            tty=False,
            privileged=False,
            stdin=False,
            detach=False,
        )

    roots = {"ORCHESTRA_DATA": str(cell.paths.data), "ORCHESTRA_RUN": str(cell.paths.run)}
    with listener:
        listener.listen()
        server = threading.Thread(target=hang_up)
        server.start()
        with pytest.raises(NotPlainError):
            exec_plainly(roots, 0, one.spec.project, wanted)
    assert heard == [b'{"op":"exec"}']
    assert await cell.exec(one, "/bin/true") == (0, "")


@pytest.mark.runtime
async def test_runc_runs_the_same_container(cell: Cell) -> None:
    record = await cell.start(spec(*argv("echo from runc; id -u; sleep 1000"), runtime="runc"))
    wait_until(lambda: "0\n" in cell.output(record))
    assert cell.output(record) == "from runc\n0\n"
    assert await cell.exec(record, "/bin/echo", "in") == (0, "in\n")
    assert process.is_alive(process.identity(cell.pid(record, "init.pid")))
    ended = await cell.containers.stop(record, timeout=timedelta(milliseconds=10))
    assert ended is not None
    assert ended["signal"] == 9
