"""A container's life on the real kernel: start, exit, output, stop, remove."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.cell import Cell, argv, image, kill_now, open_cell, spec, wait_until

from orchestra.engine.container.failures import StartError
from orchestra.engine.container.logs import read_logs
from orchestra.engine.container.stats import usage_of
from orchestra.engine.linux import host
from orchestra.engine.shim.identity import read_identity
from orchestra.engine.shim.protocol import Listen
from orchestra.engine.state.records import ContainerRecord, Endpoint
from orchestra.errors import ContainerError, NetworkError
from orchestra.planner.desired import (
    FileMount,
    PortSpec,
)
from orchestra.planner.limits import BlockIo, BlockLimit, Resources
from orchestra.planner.observed import Phase

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]


@pytest.fixture
async def cell(tmp_path: Path, token: str) -> AsyncIterator[Cell]:
    async with open_cell(tmp_path, token) as opened:
        yield opened
        assert opened.launcher_log() == ""


@pytest.mark.parametrize("code", [0, 7, 255])
async def test_exit_code_is_written(cell: Cell, code: int) -> None:
    assert await cell.run(*argv(f"exit {code}")) == (code, "")


async def test_signal_is_told_apart(cell: Cell) -> None:
    record = await cell.start(spec("/bin/sleep", "1000"))
    await cell.containers.kill(record)
    ended = await cell.containers.wait(record)
    assert ended is not None
    assert (ended["code"], ended["signal"]) == (137, 9)
    assert ended["started_at"] < ended["finished_at"]
    assert cell.containers.phase(record)[0] is Phase.EXITED


async def test_both_streams_are_logged_in_their_names(cell: Cell) -> None:
    record = await cell.start(spec(*argv("echo out; echo err >&2; printf unfinished")))
    await cell.containers.wait(record)
    found = {(line["stream"], line["log"]) for line in cell.lines(record)}
    assert found == {("stdout", "out\n"), ("stderr", "err\n"), ("stdout", "unfinished")}


async def test_it_is_alone_in_its_namespaces(cell: Cell) -> None:
    code, output = await cell.run(*argv("echo $$; ls /proc | grep -c '^[0-9]'; hostname; ip -o a"))
    pid, processes, hostname, *links = output.splitlines()
    assert (code, pid) == (0, "1")
    assert int(processes) <= 3
    assert len(hostname) == 12
    assert all(" lo " in link for link in links)


async def test_environment_user_and_directory(cell: Cell) -> None:
    made_from = image(env=("A=image", "B=image"), user="alice", working_dir="/home/alice")
    wanted = spec(*argv("id; pwd; env"), environment={"B": "project"})
    record = await cell.start(wanted, made_from)
    await cell.containers.wait(record)
    lines = cell.output(record).splitlines()
    assert lines[0] == "uid=1000(alice) gid=1000(alice) groups=10(wheel),1000(alice)"
    assert lines[1] == "/home/alice"
    assert {"A=image", "B=project", "HOME=/home/alice"} <= set(lines)
    assert not any(line.startswith("ORCHESTRA") for line in lines)


@pytest.mark.parametrize(
    ("command", "code"),
    [(("/nowhere",), 127), (("no-such-program",), 127), (("/etc/passwd",), 126)],
    ids=["no file", "not in PATH", "not executable"],
)
async def test_what_cannot_be_run_is_reported(
    cell: Cell, command: tuple[str, ...], code: int
) -> None:
    record = await cell.create(spec(*command))
    with pytest.raises(StartError) as caught:
        await cell.containers.start(record)
    assert caught.value.code == code
    assert command[0] in caught.value.message
    assert cell.containers.phase(record)[0] is Phase.CREATED


async def test_a_stopped_container_starts_again_with_its_files(cell: Cell) -> None:
    record = await cell.start(spec(*argv("cat /kept; echo again >> /kept")))
    await cell.containers.wait(record)
    await cell.containers.start(record)
    await cell.containers.wait(record)
    assert cell.output(record).endswith("again\n")


async def test_stop_sends_the_images_signal(cell: Cell) -> None:
    script = "trap 'echo stopped by USR1; exit 3' USR1; echo ready; while :; do usleep 1000; done"
    record = await cell.start(spec(*argv(script)), image(stop_signal="SIGUSR1"))
    wait_until(lambda: "ready" in cell.output(record))
    ended = await cell.containers.stop(record)
    assert ended is not None
    assert ended["code"] == 3
    assert "stopped by USR1" in cell.output(record)


async def test_stop_kills_after_the_grace_period(cell: Cell) -> None:
    record = await cell.start(
        spec(*argv("trap '' TERM; echo ready; while :; do usleep 1000; done"))
    )
    wait_until(lambda: "ready" in cell.output(record))
    ended = await cell.containers.stop(record, timeout=timedelta(milliseconds=50))
    assert ended is not None
    assert ended["signal"] == 9
    assert await cell.containers.stop(record) == ended


async def test_a_container_that_stands_still_is_killed(cell: Cell) -> None:
    record = await cell.start(spec("/bin/sleep", "1000"))
    os.kill(cell.pid(record, "init.pid"), signal.SIGSTOP)
    ended = await cell.containers.stop(record, timeout=timedelta(milliseconds=50))
    assert ended is not None
    assert ended["code"] == 137


async def test_children_end_with_the_container(cell: Cell) -> None:
    record = await cell.start(spec(*argv("sleep 1000 & echo $!; exit 0")))
    await cell.containers.wait(record)
    init = cell.run_directory(record) / "init.pid"
    assert init.exists()
    memberships = Path("/proc").glob("[0-9]*/cgroup")
    assert not any(record.id in text for text in map(read_gone, memberships))


async def test_secrets_lie_on_tmpfs_with_mode_and_owner(cell: Cell) -> None:
    secret = FileMount(
        target="/run/secrets/key", content="s3cret", uid=1000, gid=10, mode=0o400, secret=True
    )
    script = (
        "stat -c '%u %g %a' /run/secrets/key; cat /run/secrets/key; mount | grep -c secrets/key"
    )
    record = await cell.start(spec(*argv(script), files=(secret,)))
    await cell.containers.wait(record)
    assert cell.output(record) == "1000 10 400\ns3cret1\n"
    assert not (cell.run_directory(record) / "files" / "0").exists()


async def test_a_taken_port_is_named(cell: Cell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        record = await cell.create(spec("/bin/true"))
        wanted: Listen = {
            "protocol": "tcp",
            "address": "127.0.0.1",
            "port": port,
            "container_port": 80,
        }
        with pytest.raises(NetworkError, match=f"port {port}/tcp of 127.0.0.1: it is taken"):
            await cell.start_with(record, listen=[wanted])
    await cell.start_with(record, listen=[wanted])


async def publishing(cell: Cell, address: str, port: int) -> ContainerRecord:
    """Create a container that publishes a port; its link would be made after that is bound."""
    record = await cell.create(spec("/bin/true"))
    published = PortSpec(container_port=80, host_ip=address, host_port=port)
    endpoint = Endpoint(
        network="none",
        bridge="none",
        interface="eth0",
        host_interface="none",
        mac="02:00:00:00:00:09",
        ipv4="192.0.2.9",
        ipv4_prefix=24,
        ipv4_gateway="192.0.2.1",
        default_route=True,
    )
    return replace(record, ports=(published,), endpoints=(endpoint,))


async def test_who_has_a_taken_port_is_named(cell: Cell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        record = await publishing(cell, "127.0.0.1", port)
        with pytest.raises(NetworkError) as caught:
            await cell.containers.start(record)
    name = Path("/proc/self/comm").read_text().strip()
    assert caught.value.message == (
        f'cannot start container "cell-one-1": port {port} is taken by pid {os.getpid()} ({name})'
    )
    assert caught.value.hint == "change services.one.ports or stop what has it"


async def test_an_address_that_is_not_ours_is_named(cell: Cell) -> None:
    record = await publishing(cell, "192.0.2.77", 20081)
    with pytest.raises(NetworkError, match=r"20081/tcp of 192.0.2.77: this host has no"):
        await cell.containers.start(record)


async def test_a_running_container_is_not_removed(cell: Cell) -> None:
    record = await cell.start(spec("/bin/sleep", "1000"))
    with pytest.raises(ContainerError, match="it runs"):
        await cell.containers.remove(record)


async def test_remove_leaves_no_directory(cell: Cell) -> None:
    record = await cell.start(spec("/bin/true"))
    await cell.containers.wait(record)
    await cell.containers.remove(record)
    assert not cell.directory(record).exists()
    assert not cell.run_directory(record).exists()
    assert cell.store.containers(cell.project) == ()


async def test_a_terminal_is_a_terminal(cell: Cell) -> None:
    code, output = await cell.run(*argv("tty; echo $TERM"), tty=True)
    assert (code, output) == (0, "/dev/pts/0\r\nxterm\r\n")


async def test_no_mount_is_seen_on_the_host(cell: Cell) -> None:
    record = await cell.start(spec("/bin/sleep", "1000"))
    assert record.id not in Path("/proc/self/mountinfo").read_text()


async def test_exec_has_the_walls_of_the_container(cell: Cell) -> None:
    record = await cell.start(spec("/bin/sleep", "1000"))
    code, output = await cell.exec(
        record,
        *argv("echo $A; id -u; grep -E 'Seccomp:|CapEff' /proc/self/status; exit 5"),
        environment={"A": "b"},
    )
    assert code == 5
    assert output.split() == ["b", "0", "CapEff:", "00000000a80425fb", "Seccomp:", "2"]


async def test_exec_as_another_user_elsewhere(cell: Cell) -> None:
    record = await cell.start(spec("/bin/sleep", "1000"))
    found = await cell.exec(record, *argv("id -un; pwd; echo $HOME"), user="alice", cwd="/tmp")
    assert found == (0, "alice\n/tmp\n/home/alice\n")


async def test_exec_of_nothing_is_127(cell: Cell) -> None:
    record = await cell.start(spec("/bin/sleep", "1000"))
    with pytest.raises(StartError) as caught:
        await cell.exec(record, "/nowhere")
    assert caught.value.code == 127


async def test_following_ends_with_the_container(cell: Cell) -> None:
    record = await cell.start(spec(*argv("for i in 1 2 3 4 5; do echo $i; usleep 2000; done")))
    lines = [line async for line in read_logs(cell.paths, record, follow=True)]
    assert [line.text for line in lines] == ["1\n", "2\n", "3\n", "4\n", "5\n"]
    tail = [line.text async for line in read_logs(cell.paths, record, tail=2)]
    assert tail == ["4\n", "5\n"]


def read_gone(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


async def test_block_devices_are_throttled(cell: Cell, tmp_path: Path) -> None:
    number = tmp_path.stat().st_dev
    disk = f"{os.major(number)}:{os.minor(number)}"
    device = Path(f"/sys/dev/block/{disk}")
    if not device.exists() or (device / "partition").exists():
        pytest.skip("the test's directory lies on no whole disk")
    path = f"/dev/{device.resolve().name}"
    limits = Resources(block_io=BlockIo(write_bps=(BlockLimit(path=path, value=1 << 20),)))
    v1 = host.cgroups().mode != "v2"
    file = "blkio/blkio.throttle.write_bps_device" if v1 else "io.max"
    record = await cell.start(spec(*argv(f"cat /sys/fs/cgroup/{file}"), resources=limits))
    await cell.containers.wait(record)
    value = "1048576" if v1 else "rbps=max wbps=1048576 riops=max wiops=max"
    assert cell.output(record) == f"{disk} {value}\n"


async def test_what_is_no_block_device_cannot_be_throttled(cell: Cell) -> None:
    limits = Resources(block_io=BlockIo(read_iops=(BlockLimit(path="/dev/null", value=9),)))
    with pytest.raises(ContainerError, match=r'"/dev/null": it is no block device'):
        await cell.create(spec("/bin/true", resources=limits))


async def test_realtime_shares_are_given_or_named(cell: Cell) -> None:
    limits = Resources(cpu_rt_runtime_us=2000, cpu_rt_period_us=500_000)
    wanted = spec(*argv("cat /sys/fs/cgroup/cpu/cpu.rt_*_us; sleep 1000"), resources=limits)
    tree = host.cgroups().controller("cpu")
    if tree is None or not Path(tree.base(), "cpu.rt_runtime_us").exists():
        with pytest.raises(ContainerError, match="cpu_rt_runtime cannot be set"):
            await cell.create(wanted)
        return
    records = [await cell.start(wanted) for _ in range(2)]
    for record in records:
        wait_until(lambda record=record: cell.output(record) == "500000\n2000\n")
    parent = Path(tree.base(), "orchestra", cell.project)
    assert (parent / "cpu.rt_runtime_us").read_text() == "8000\n"
    for record in records:
        await cell.containers.kill(record)
        await cell.containers.wait(record)
    assert not parent.exists()


async def test_a_cgroup_parent_holds_the_container_and_outlives_it(cell: Cell) -> None:
    parent = f"/orchestra-{cell.project}"
    record = await cell.start(spec("/bin/sleep", "1000", cgroup_parent=f"{parent}/deep"))
    groups = Path(f"/proc/{cell.pid(record, 'init.pid')}/cgroup").read_text().splitlines()
    named = [group for group in groups if group.endswith(f":{parent}/deep/{record.id}")]
    trees = [Path(tree.base()) for tree in host.cgroups().v1]
    unified = host.cgroups().unified
    trees += [Path(unified.base())] if unified and not trees else []
    assert len(named) == len(trees)
    init = read_identity(str(cell.run_directory(record) / "init.pid"))
    assert init is not None
    usage = usage_of(init)
    assert usage is not None
    assert usage.pids == 1
    # Its shim dies: it is found, and ended, by that cgroup.
    kill_now(cell.pid(record, "shim.pid"))
    await cell.containers.stop(record, timeout=timedelta(0))
    for tree in trees:
        deep = tree / parent.strip("/") / "deep"
        assert [entry for entry in deep.iterdir() if entry.is_dir()] == []
        deep.rmdir()
        deep.parent.rmdir()


@pytest.mark.parametrize("runtime", ["native", "runc", "crun"])
async def test_why_an_exec_does_not_start_is_dockers_code(cell: Cell, runtime: str) -> None:
    record = await cell.start(spec("/bin/sleep", "1000", runtime=runtime))
    found = {}
    for program, cwd in (("/missing", None), ("/etc/passwd", None), ("/bin/true", "/missing")):
        with pytest.raises(StartError) as caught:
            await cell.exec(record, program, cwd=cwd)
        found[program] = caught.value.code
    assert found == {"/missing": 127, "/etc/passwd": 126, "/bin/true": 125}
