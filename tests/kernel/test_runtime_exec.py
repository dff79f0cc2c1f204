"""A further process in a running container, terminals, and the verbs as a program."""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.bundles import Bundle

from orchestra.engine.linux.process import wait_exit
from orchestra.engine.runtime import exec as runtime_exec
from orchestra.engine.runtime.create import Init
from orchestra.engine.runtime.failure import RuntimeFailure

pytestmark = pytest.mark.kernel


@pytest.fixture
def running(bundle: Bundle) -> Iterator[Init]:
    init = bundle.shell("sleep 100").create((0, 1, 2))
    init.start()
    yield init
    os.kill(init.pid, signal.SIGKILL)
    wait_exit(init.pid)
    bundle.delete()


def run_in(init: Init, bundle: Bundle, args: list[str], **process: Any) -> tuple[int, str]:
    reader, writer = os.pipe()
    try:
        pid = runtime_exec.execute(
            init.pid,
            {**bundle.config["process"], "args": args, **process},
            config=bundle.config,
            stdio=(0, writer, writer),
        )
    finally:
        os.close(writer)
    output = b""
    while chunk := os.read(reader, 65536):
        output += chunk
    os.close(reader)
    return wait_exit(pid)["code"], output.decode()


def run_failing(init: Init, bundle: Bundle, args: list[str], **process: Any) -> RuntimeFailure:
    try:
        pid = runtime_exec.execute(
            init.pid,
            {**bundle.config["process"], "args": args, **process},
            config=bundle.config,
            stdio=(0, 1, 2),
        )
    except RuntimeFailure as failure:
        return failure
    # The container's init cannot end before this one is collected.
    raise AssertionError(f"it ran: {wait_exit(pid)}")


def test_it_shares_every_namespace_and_the_cgroup(running: Init, bundle: Bundle) -> None:
    script = "for k in mnt uts pid ipc cgroup net; do readlink /proc/self/ns/$k; readlink /proc/1/ns/$k; done; hostname"
    script += "; cat /proc/self/cgroup > /tmp/a; cat /proc/1/cgroup > /tmp/b; wc -l < /tmp/a"
    code, output = run_in(running, bundle, ["sh", "-c", script])
    lines = output.splitlines()
    assert code == 0
    assert lines[0:12:2] == lines[1:12:2]
    assert lines[12] == "box"
    tmp = bundle.rootfs / "tmp"
    assert (tmp / "a").read_text() == (tmp / "b").read_text()


def test_it_has_the_walls_of_the_container(running: Init, bundle: Bundle) -> None:
    script = (
        "grep -E 'Cap(Bnd|Eff|Inh)|Seccomp:' /proc/self/status; unshare -U true || echo blocked"
    )
    _, inside = run_in(running, bundle, ["sh", "-c", script])
    status = dict(line.split(":\t") for line in inside.splitlines() if ":\t" in line)
    init = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{running.pid}/status").read_text().splitlines()
        if ":\t" in line
    )
    assert {key: init[key] for key in status} == status
    assert "blocked" in inside


def test_no_descriptor_but_stdio(running: Init, bundle: Bundle) -> None:
    leaked = [os.open("/", os.O_PATH) for _ in range(8)]
    for fd in leaked:
        os.set_inheritable(fd, True)
    try:
        _, output = run_in(running, bundle, ["ls", "/proc/self/fd"])
    finally:
        for fd in leaked:
            os.close(fd)
    assert output.split() == ["0", "1", "2", "3"]


def test_on_its_way_to_the_program_it_shows_nothing_of_ours(running: Init, bundle: Bundle) -> None:
    """CVE-2019-5736: an image's PATH can make that way long, and another process look meanwhile."""
    script = (
        "while [ ! -e /tmp/end ]; do for p in /proc/[0-9]*; do"
        " readlink $p/exe || echo refused; done; done > /tmp/seen 2> /dev/null"
    )
    process = {**bundle.config["process"], "args": ["sh", "-c", script]}
    watcher = runtime_exec.execute(running.pid, process, config=bundle.config, stdio=(0, 1, 2))
    try:
        path = "PATH=" + "/x:" * 43_000 + "/bin"
        assert run_in(running, bundle, ["true"], env=[path])[0] == 0
    finally:
        (bundle.rootfs / "tmp/end").touch()
        assert wait_exit(watcher)["code"] == 0
    seen = set((bundle.rootfs / "tmp/seen").read_text().splitlines())
    assert seen == {"/bin/busybox", "refused"}


def test_no_new_privileges_of_the_container_are_its_own_too(running: Init, bundle: Bundle) -> None:
    """Whatever a process file leaves out."""
    args = ["grep", "NoNewPrivs", "/proc/self/status"]
    assert run_in(running, bundle, args)[1].split() == ["NoNewPrivs:", "0"]
    bundle.process["noNewPrivileges"] = True
    assert run_in(running, bundle, args, noNewPrivileges=False)[1].split() == ["NoNewPrivs:", "1"]


@pytest.fixture
def unmasked(bundle: Bundle) -> Bundle:
    bundle.linux["maskedPaths"].remove("/proc/keys")
    return bundle


def test_the_callers_keyring_stays_with_the_caller(unmasked: Bundle, running: Init) -> None:
    _, output = run_in(running, unmasked, ["cat", "/proc/keys"])
    sessions = [line for line in output.splitlines() if "_ses" in line]
    assert any("_ses.exec" in line for line in sessions)
    assert not any(line.split()[8].startswith("_ses:") for line in sessions), sessions


def test_user_directory_and_environment_are_its_own(running: Init, bundle: Bundle) -> None:
    code, output = run_in(
        running,
        bundle,
        ["sh", "-c", "id -u; pwd; echo $A $HOME; grep CapEff /proc/self/status"],
        user={"uid": 1000, "gid": 1000},
        cwd="/tmp",
        env=["PATH=/bin", "A=1"],
    )
    assert (code, output.split()) == (0, ["1000", "/tmp", "1", "/home/app", "CapEff:", "0" * 16])


@pytest.mark.parametrize(
    ("args", "code"), [(["nosuch"], 127), (["/etc/passwd"], 126), (["/proc/self/exe"], 126)]
)
def test_what_cannot_be_executed(running: Init, bundle: Bundle, args: list[str], code: int) -> None:
    assert run_failing(running, bundle, args).exit_code == code


@pytest.mark.parametrize("cwd", ["/proc/self/fd/10", "/proc/self/root/tmp", "/proc/1/cwd"])
def test_a_working_directory_through_a_magic_link_is_refused(
    running: Init, bundle: Bundle, cwd: str
) -> None:
    failure = run_failing(running, bundle, ["true"], cwd=cwd)
    assert failure.message.startswith(f'cannot change to the working directory "{cwd}"')


def test_an_ended_container_cannot_be_entered(bundle: Bundle) -> None:
    bundle.write()
    child = subprocess.Popen(["true"])
    child.wait()
    with pytest.raises(RuntimeFailure, match="not running"):
        runtime_exec.execute(
            child.pid, {"args": ["true"], "cwd": "/"}, config=bundle.config, stdio=(0, 1, 2)
        )


def namespaces() -> dict[str, str]:
    return {link.name: str(link.readlink()) for link in Path("/proc/self/ns").iterdir()}


def test_our_own_process_stays_where_it_was(running: Init, bundle: Bundle) -> None:
    before = namespaces()
    run_in(running, bundle, ["true"])
    assert namespaces() == before


def receive_master(peer: socket.socket) -> int:
    _, ancillary, _, _ = peer.recvmsg(64, socket.CMSG_SPACE(4))
    fds = array.array("i")
    fds.frombytes(ancillary[0][2][:4])
    return fds[0]


def read_terminal(master: int) -> str:
    output = b""
    while True:
        try:
            chunk = os.read(master, 4096)
        except OSError:  # EIO: the other side is closed.
            break
        if not chunk:
            break
        output += chunk
    os.close(master)
    return output.decode().replace("\r\n", "\n")


def test_a_terminal_is_the_containers_own(bundle: Bundle) -> None:
    bundle.process["terminal"] = True
    bundle.process["consoleSize"] = {"height": 33, "width": 99}
    bundle.shell(
        "tty; stty size; echo $(ls /dev/pts); stat -c %t,%T /dev/console; ls /proc/self/fd"
    )
    ours, theirs = socket.socketpair()
    with ours, theirs:
        init = bundle.create((0, 1, 2), theirs.fileno())
        master = receive_master(ours)
        try:
            init.start()
            output = read_terminal(master)
            assert wait_exit(init.pid)["code"] == 0
        finally:
            bundle.delete()
    lines = output.splitlines()
    assert lines[:4] == ["/dev/pts/0", "33 99", "0 ptmx", "88,0"]
    assert lines[4].split() == ["0", "1", "2", "3"]


def test_a_terminal_for_an_exec(running: Init, bundle: Bundle) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = {**bundle.config["process"], "args": ["tty"], "terminal": True}
        pid = runtime_exec.execute(
            running.pid,
            process,
            config=bundle.config,
            stdio=(0, 1, 2),
            console_socket=theirs.fileno(),
        )
        assert read_terminal(receive_master(ours)) == "/dev/pts/0\n"
        assert wait_exit(pid)["code"] == 0


def test_a_terminal_from_a_forged_devpts_is_refused(running: Init, bundle: Bundle) -> None:
    bundle.config["process"]["terminal"] = True
    bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["destination"] != "/dev/pts"]
    other = Bundle(bundle.path.parent / "other", f"{bundle.name}o")
    other.config = bundle.config
    other.linux["cgroupsPath"] += "-other"
    (other.rootfs / "dev/pts").mkdir(parents=True, exist_ok=True)
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(RuntimeFailure, match="cannot"):
        other.create((0, 1, 2), theirs.fileno())


def test_a_terminal_from_another_devpts_is_refused(bundle: Bundle) -> None:
    """CVE-2025-52565: a node of the multiplexer that leads to a devpts somebody else has chosen."""
    bundle.config["process"]["terminal"] = True
    (pts,) = (mount for mount in bundle.config["mounts"] if mount["destination"] == "/dev/pts")
    pts["destination"] = "/dev/pts/pts"
    tmpfs = {"destination": "/dev/pts", "type": "tmpfs", "source": "tmpfs", "options": []}
    bundle.config["mounts"].insert(bundle.config["mounts"].index(pts), tmpfs)
    node = {"type": "c", "path": "/dev/pts/ptmx", "major": 5, "minor": 2}
    bundle.linux["devices"] = [node]
    ours, theirs = socket.socketpair()
    with (
        ours,
        theirs,
        pytest.raises(RuntimeFailure, match="/dev/pts is not the container's devpts"),
    ):
        bundle.create((0, 1, 2), theirs.fileno())


def cli(bundle: Bundle, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "orchestra.engine.runtime", "--root", str(bundle.state_root)]
    return subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_the_verbs_of_a_life(bundle: Bundle) -> None:
    bundle.shell("sleep 100").write()
    out = bundle.path / "out"
    with out.open("w") as stream:
        command = [
            sys.executable,
            "-m",
            "orchestra.engine.runtime",
            "--root",
            str(bundle.state_root),
        ]
        arguments = [
            "create",
            "--bundle",
            str(bundle.path),
            "--pid-file",
            str(bundle.path / "pid"),
            "c",
        ]
        done = subprocess.run(
            [*command, *arguments],
            stdout=stream,
            stderr=stream,
            timeout=120,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    assert (done.returncode, out.read_text()) == (0, "")
    pid = int((bundle.path / "pid").read_text())
    state = json.loads(cli(bundle, "state", "c").stdout)
    assert (state["status"], state["pid"], state["id"]) == ("created", pid, "c")
    assert cli(bundle, "start", "c").returncode == 0
    assert json.loads(cli(bundle, "state", "c").stdout)["status"] == "running"
    assert cli(bundle, "start", "c").returncode == 1
    assert cli(bundle, "exec", "c", "sh", "-c", "exit 4").returncode == 4
    assert cli(bundle, "delete", "c").stderr.startswith("cannot delete")
    assert cli(bundle, "kill", "c", "KILL").returncode == 0
    wait_exit(pid)
    assert json.loads(cli(bundle, "state", "c").stdout)["status"] == "stopped"
    assert cli(bundle, "delete", "c").returncode == 0
    assert 'container "c" does not exist' in cli(bundle, "state", "c").stderr


def test_a_script_with_our_interpreter_finds_it_read_only(bundle: Bundle) -> None:
    """The interpreter line cannot be refused; what it leads to must not be writable."""
    program = (
        "import os,sys\n"
        "try: os.open('/proc/self/exe', os.O_WRONLY)\n"
        "except OSError as err: print(err.errno)\n"
    )
    reached = bundle.path / "reached"
    code = (
        "from orchestra.engine.runtime import interpreter\n"
        "interpreter.protect()\n"
        "import os\n"
        "fd = os.open('/proc/self/exe', os.O_PATH)\n"
        "print(interpreter.is_protected(), bool(os.fstatvfs(fd).f_flag & os.ST_RDONLY))\n"
    )
    reached.write_text(code + program)
    result = subprocess.run(
        [sys.executable, "-c", reached.read_text()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    lines = result.stdout.splitlines()
    assert lines[0] == "True True"
    # EROFS before ETXTBSY would do; either way no write.
    assert int(lines[1]) in {26, 30}
