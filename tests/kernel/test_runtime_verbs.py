"""The runtime as a program: runc's verbs, flags and words, on containers of the native runtime."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.bundles import Bundle
from support.verbs import NAME, call, end, start

from orchestra.engine.runtime.cgroup import Cgroup

pytestmark = pytest.mark.kernel


def status(bundle: Bundle) -> str:
    return str(json.loads(call(bundle, "state", NAME).stdout)["status"])


def test_list(bundle: Bundle, running: int) -> None:
    rows = json.loads(call(bundle, "list", "--format", "json").stdout)
    assert [(row["id"], row["pid"], row["status"], row["owner"]) for row in rows] == [
        (NAME, running, "running", "root")
    ]
    assert rows[0]["rootfs"] == str(bundle.rootfs)
    header, row = call(bundle, "list").stdout.splitlines()
    assert header.split() == ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    assert row.split()[:4] == [NAME, str(running), "running", str(bundle.path)]
    assert call(bundle, "list", "-q").stdout == f"{NAME}\n"


def test_list_of_nothing(bundle: Bundle) -> None:
    assert json.loads(call(bundle, "list", "-f", "json").stdout) == []
    assert call(bundle, "list", "-q").stdout == ""


def test_ps(bundle: Bundle, running: int) -> None:
    assert json.loads(call(bundle, "ps", NAME, "--format", "json").stdout or "null") != []
    assert json.loads(call(bundle, "ps", "--format", "json", NAME).stdout) == [running]
    rows = call(bundle, "ps", NAME).stdout.splitlines()
    assert len(rows) == 2
    assert rows[1].split()[1] == str(running)
    assert call(bundle, "ps", NAME, "-o", "pid,comm").stdout.splitlines()[1].split() == [
        str(running),
        "sleep",
    ]
    assert call(bundle, "ps", NAME, "--nosuch").returncode == 1


def test_pause_holds_a_container_and_resume_lets_it_go(bundle: Bundle, running: int) -> None:
    assert call(bundle, "pause", NAME).returncode == 0
    assert status(bundle) == "paused"
    assert call(bundle, "pause", NAME).stderr == "container not running\n"
    assert "cannot exec in a paused container" in call(bundle, "exec", NAME, "true").stderr
    assert "not stopped: paused" in call(bundle, "delete", NAME).stderr
    assert call(bundle, "resume", NAME).returncode == 0
    assert status(bundle) == "running"
    assert call(bundle, "resume", NAME).stderr == "container not paused\n"


def test_a_paused_container_can_be_killed(bundle: Bundle, running: int) -> None:
    call(bundle, "pause", NAME)
    assert call(bundle, "kill", NAME, "KILL").returncode == 0
    assert os.waitpid(running, 0)[1] == 9


def test_kill_all_reaches_every_process(bundle: Bundle) -> None:
    pid = start(bundle.shell("trap '' TERM; sleep 100 & wait; echo woken > /tmp/woken; sleep 100"))
    try:
        while len(json.loads(call(bundle, "ps", "-f", "json", NAME).stdout)) < 2:
            pass
        assert call(bundle, "kill", "--all", NAME, "INT").returncode == 0
        assert call(bundle, "kill", "-a", NAME, "KILL").returncode == 0
        assert os.waitpid(pid, 0)[0] == pid
        assert call(bundle, "kill", NAME).stderr == "container not running\n"
    finally:
        end(bundle, pid)


def test_spec_writes_a_bundle_that_runs_and_never_writes_over_one(bundle: Bundle) -> None:
    assert call(bundle, "spec", "--bundle", str(bundle.path)).returncode == 0
    path = bundle.path / "config.json"
    bundle.config = json.loads(path.read_text())
    bundle.process.update({"terminal": False, "args": ["cat", "/proc/sys/kernel/hostname"]})
    bundle.process["env"] = ["PATH=/bin"]
    bundle.linux["cgroupsPath"] = f"/orchestra/{bundle.name}/box"
    assert bundle.run().output == "orchestra\n"
    again = call(bundle, "spec", "-b", str(bundle.path))
    assert (again.returncode, again.stderr) == (1, f"File {path} exists. Remove it first\n")
    assert json.loads(path.read_text()) == bundle.config


def test_exec_by_flags(bundle: Bundle, running: int) -> None:
    script = "id -u; id -g; pwd; echo $A; grep -E 'CapBnd|NoNewPrivs|Groups' /proc/self/status"
    flags = ["-u", "1000:7", "-g", "9", "--cwd", "/tmp", "-e", "A=1", "--cap", "CAP_SYS_ADMIN"]
    done = call(bundle, "exec", *flags, "--no-new-privs", NAME, "sh", "-c", script)
    lines = [line.split()[-1] for line in done.stdout.splitlines()]
    assert lines == ["1000", "7", "/tmp", "1", "9", "00000000a82425fb", "1"]


def test_exec_of_a_process_file(bundle: Bundle, running: int, tmp_path: Path) -> None:
    process = {"args": ["sh", "-c", "pwd; exit 3"], "cwd": "/etc", "env": ["PATH=/bin"]}
    (tmp_path / "process.json").write_text(json.dumps(process))
    done = call(bundle, "exec", "-p", str(tmp_path / "process.json"), NAME)
    assert (done.returncode, done.stdout) == (3, "/etc\n")
    (tmp_path / "process.json").write_text("[]")
    assert call(bundle, "exec", "-p", str(tmp_path / "process.json"), NAME).returncode == 1


def test_exec_detached_leaves_a_pid(bundle: Bundle, running: int, tmp_path: Path) -> None:
    flags = ["-d", "--pid-file", str(tmp_path / "exec.pid")]
    done = call(bundle, "exec", *flags, NAME, "sh", "-c", "exec sleep 50 <&- >&- 2>&-")
    assert done.returncode == 0
    pid = int((tmp_path / "exec.pid").read_text())
    assert pid in json.loads(call(bundle, "ps", "-f", "json", NAME).stdout)
    call(bundle, "kill", "--all", NAME, "KILL")
    os.waitpid(pid, 0)


LIST_FDS = "cd /proc/self/fd; for n in *; do [ $n -lt 9 ] && echo $n; done; cat <&4"


def passing(directory: Path) -> dict[str, Any]:
    """Arguments that give a child the descriptors 3, 4 and 6, the last one not to be seen."""
    paths = {3: "three", 4: "four", 6: "six"}
    for name in paths.values():
        (directory / name).write_text(name)

    def place() -> None:
        for number, name in paths.items():
            fd = os.open(directory / name, os.O_RDONLY)
            os.dup2(fd, number, inheritable=True)
            if fd not in paths:
                os.close(fd)

    return {"preexec_fn": place, "close_fds": False}


def test_preserved_descriptors_and_no_others(bundle: Bundle, tmp_path: Path) -> None:
    bundle.shell(f"({LIST_FDS}) > /tmp/out; sleep 100")
    pid = start(bundle, "--preserve-fds", "2", **passing(tmp_path))
    try:
        call(bundle, "exec", NAME, "sh", "-c", "while ! grep -q four /tmp/out; do :; done")
        lines = (bundle.rootfs / "tmp/out").read_text().split()
        done = call(
            bundle, "exec", "--preserve-fds", "2", NAME, "sh", "-c", LIST_FDS, **passing(tmp_path)
        )
        assert done.stdout.split()[-1] == "four"
    finally:
        end(bundle, pid)
    # The shell's own: the directory it lists.
    assert lines[:5] == ["0", "1", "2", "3", "4"]
    assert lines[-1] == "four"
    assert len(lines) <= 7


def test_sockets_of_a_service_manager_come_first(bundle: Bundle, tmp_path: Path) -> None:
    """As systemd hands them in: LISTEN_PID is whom they are meant for."""
    handed = passing(tmp_path)
    place = handed["preexec_fn"]

    def listen() -> None:
        place()
        os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="web")

    bundle.shell(f"env | grep LISTEN > /tmp/out; ({LIST_FDS}) >> /tmp/out; sleep 100")
    pid = start(bundle, "--preserve-fds", "1", **{**handed, "preexec_fn": listen, "env": None})
    try:
        call(bundle, "exec", NAME, "sh", "-c", "while ! grep -q four /tmp/out; do :; done")
        lines = (bundle.rootfs / "tmp/out").read_text().split()
    finally:
        end(bundle, pid)
    assert sorted(lines[:3]) == ["LISTEN_FDNAMES=web", "LISTEN_FDS=1", "LISTEN_PID=1"]
    assert lines[-1] == "four"


@pytest.mark.parametrize("joined", ["sub", "every:sub"])
def test_exec_in_a_cgroup_below(bundle: Bundle, running: int, joined: str) -> None:
    cgroup = Cgroup.at(bundle.linux["cgroupsPath"])
    places = cgroup.v1_directories() or {"": cgroup.unified_directory()}
    for directory in {*places.values()}:
        (Path(directory) / "sub").mkdir()
    if "cpuset" in places:
        for name in ("cpuset.cpus", "cpuset.mems"):
            text = (Path(places["cpuset"]) / name).read_text()
            (Path(places["cpuset"]) / "sub" / name).write_text(text)
    if joined.startswith("every"):
        joined = f"{','.join(places)}:sub" if "" not in places else "sub"
    done = call(bundle, "exec", "--cgroup", joined, NAME, "cat", "/proc/self/cgroup")
    assert done.returncode == 0, done.stderr
    lines = [line.split(":") for line in done.stdout.splitlines()]
    assert all(line[2].endswith("/sub") for line in lines if line[1] in places), lines


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--cgroup", "nosuch"], 'the container has no cgroup "nosuch"'),
        (["--cgroup", "../x"], 'the container has no cgroup "../x"'),
        (["--cgroup", "nosuch:/"], 'there is no cgroup controller "nosuch"'),
        (["--cgroup", "a", "--cgroup", "b"], '"a" names no controller'),
        (["--cgroup", "x:/", "--cgroup", "x:/"], 'the controller "x" twice'),
    ],
)
def test_a_cgroup_that_cannot_be(bundle: Bundle, running: int, flags: list[str], said: str) -> None:
    done = call(bundle, "exec", *flags, NAME, "true")
    assert done.returncode == 1
    assert said in done.stderr


def test_a_hole_among_preserved_descriptors_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    bundle.write()
    flags = ["--bundle", str(bundle.path), "--preserve-fds", "4", NAME]
    done = call(bundle, "create", *flags, **passing(tmp_path))
    assert (done.returncode, done.stderr) == (
        1,
        "cannot preserve 4 descriptors: 5 is not open\n",
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["nosuch"],
        [],
        ["state"],
        ["state", "--nosuch", NAME],
        ["list", "--format", "xml"],
        ["update", "--memory", "12q", NAME],
        ["update", "--pids-limit", "many", NAME],
        ["run", "--preserve-fds", "-1", NAME],
        ["exec", "--nosuch", NAME, "true"],
        ["--log-format", "xml", "list"],
    ],
    ids=" ".join,
)
def test_a_bad_command_line_is_one_line(bundle: Bundle, arguments: list[str]) -> None:
    done = call(bundle, *arguments)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("verb", ["state", "start", "kill", "delete", "pause", "resume", "ps"])
def test_a_container_that_is_not_there(bundle: Bundle, verb: str) -> None:
    done = call(bundle, verb, NAME)
    assert (done.returncode, done.stderr) == (1, f'container "{NAME}" does not exist\n')


def test_an_ended_container_is_told_in_the_words_of_runc(bundle: Bundle) -> None:
    pid = start(bundle.shell("exit 0"))
    os.waitpid(pid, 0)
    said = {
        ("start", NAME): "cannot start a container that has stopped",
        ("kill", NAME): "container not running",
        ("pause", NAME): "container not running",
        ("resume", NAME): "container not paused",
        ("update", "--pids-limit", "5", NAME): "container not running",
        ("exec", NAME, "true"): "cannot exec in a stopped container",
        ("events", "--stats", NAME): f"container with id {NAME} is not running",
    }
    try:
        assert {verb: call(bundle, *verb).stderr for verb in said} == {
            verb: f"{text}\n" for verb, text in said.items()
        }
    finally:
        assert call(bundle, "delete", NAME).returncode == 0


def test_a_failure_is_in_the_log_too(bundle: Bundle, tmp_path: Path) -> None:
    log = tmp_path / "log"
    call(bundle, "--log", str(log), "--log-format", "json", "state", NAME)
    call(bundle, "--log", str(log), "--log-format", "json", "nosuch")
    missing, unknown = (json.loads(line) for line in log.read_text().splitlines())
    assert missing["msg"] == f'container "{NAME}" does not exist'
    assert {missing["level"], unknown["level"]} == {"error"}
    assert missing["time"].endswith("Z")
    assert "nosuch" in unknown["msg"]
    log.unlink()
    call(bundle, "--debug", "--log", str(log), "state", NAME)
    debug, error = log.read_text().splitlines()
    assert 'level=debug msg="state c"' in debug
    assert error.endswith(f'level=error msg="container \\"{NAME}\\" does not exist"')


def test_a_log_that_cannot_be_is_an_error(bundle: Bundle) -> None:
    done = call(bundle, "--log", "/nosuch/log", "list")
    assert (done.returncode, done.stderr) == (
        1,
        "cannot open the log: /nosuch/log: no such file or directory\n",
    )


def test_a_container_without_a_path_has_a_cgroup_of_its_name(bundle: Bundle, token: str) -> None:
    del bundle.linux["cgroupsPath"]
    bundle.write()
    flags = ["--bundle", str(bundle.path), "--pid-file", str(bundle.path / "pid")]
    bundle.shell("sleep 100").write()
    command = [sys.executable, "-m", "orchestra.engine.runtime", "--root", str(bundle.state_root)]
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    done = subprocess.run([*command, "run", "-d", *flags, token], timeout=120, check=False, **quiet)
    assert done.returncode == 0
    pid = int((bundle.path / "pid").read_text())
    try:
        assert f"/orchestra/_runtime/{token}\n" in Path(f"/proc/{pid}/cgroup").read_text()
        assert json.loads(call(bundle, "ps", "-f", "json", token).stdout) == [pid]
    finally:
        call(bundle, "delete", "-f", token)
        os.waitpid(pid, 0)


@pytest.mark.parametrize("flags", [[], ["--no-new-keyring"]], ids=["new", "the caller's"])
def test_the_session_keyring(bundle: Bundle, token: str, flags: list[str]) -> None:
    bundle.linux["maskedPaths"] = []
    bundle.shell("cat /proc/keys").write()
    shown = call(bundle, "run", *flags, "--bundle", str(bundle.path), token).stdout
    # The name is one that no container had before: the kernel collects old keyrings late.
    assert (f"_ses.{token}" in shown) == (not flags)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("process", "scheduler", "x"),
        ("process", "ioPriority", {"priority": 1}),
        ("process", "args", [5]),
        ("process", "user", [1]),
        ("linux", "timeOffsets", [1]),
        ("linux", "resources", {"memory": 5}),
        ("linux", "resources", {"blockIO": {"weightDevice": [{"weight": 100}]}}),
        ("linux", "namespaces", [{}]),
        ("config", "mounts", [{"destination": 5}]),
        ("config", "hooks", [1]),
    ],
)
def test_a_document_of_the_wrong_shape_is_one_line(
    bundle: Bundle, part: str, key: str, value: object
) -> None:
    getattr(bundle, part)[key] = value
    bundle.write()
    done = call(bundle, "run", "--bundle", str(bundle.path), NAME)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert call(bundle, "list", "-q").stdout == ""


def test_systemd_is_not_asked_for_cgroups_in_silence(bundle: Bundle) -> None:
    done = call(bundle, "--systemd-cgroup", "list")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("--systemd-cgroup is not supported")


@pytest.mark.parametrize("verb", ["checkpoint", "restore"])
def test_what_criu_would_do_is_refused_by_name(bundle: Bundle, running: int, verb: str) -> None:
    for flags in ([], ["--image-path", "/nowhere", "--leave-running"]):
        done = call(bundle, verb, *flags, NAME)
        assert done.returncode == 1
        assert done.stderr.startswith(f'the verb "{verb}" is not supported: ')
        assert done.stderr.count("\n") == 1
    assert json.loads(call(bundle, "state", NAME).stdout)["pid"] == running
