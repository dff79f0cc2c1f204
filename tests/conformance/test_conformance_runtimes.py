"""The same bundles under the native runtime, crun and runc, all by runc's verbs.

What a program inside sees must agree; where it may not, the expectation says so. Debian's crun
and runc are what `make test` installs.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.bundles import Bundle

from orchestra.engine.linux import host
from orchestra.engine.linux.process import wait_exit
from orchestra.engine.runtime.cgroup import Cgroup

pytestmark = pytest.mark.runtime

NATIVE = (sys.executable, "-m", "orchestra.engine.runtime")
# crun 1.8 refuses a host that has a v2 tree beside v1's controllers: it is shown one without.
_ALONE = 'umount "$0" && exec crun "$@"'
_UNSHARE = ("unshare", "-m", "--propagation", "slave", "sh", "-c", _ALONE)


def prefix_of(name: str) -> tuple[str, ...]:
    if name == "native":
        return NATIVE
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    cgroups = host.cgroups()
    if name == "crun" and cgroups.mode == "hybrid" and cgroups.unified is not None:
        return (*_UNSHARE, cgroups.unified.mountpoint)
    return (name,)


@pytest.fixture(params=["native", "crun", "runc"])
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bundle(tmp_path: Path, token: str, runtime: str) -> Bundle:
    bundle = Bundle(tmp_path / "bundle", token)
    # Right below the root: runc and crun leave parents that they made.
    bundle.linux["cgroupsPath"] = f"/{token}"
    return bundle


@pytest.fixture
def run(bundle: Bundle, runtime: str) -> Iterator[Run]:
    prefix = prefix_of(runtime)

    def call(*verb: str) -> subprocess.CompletedProcess[str]:
        bundle.write()
        command = [*prefix, "--root", str(bundle.path / "root"), *verb]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    yield call
    call("delete", "--force", bundle.name)


def inside(run: Run, bundle: Bundle, script: str) -> list[str]:
    bundle.shell(script)
    done = run("run", "--bundle", str(bundle.path), bundle.name)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_identity(run: Run, bundle: Bundle) -> None:
    bundle.process["user"] = {"uid": 1000, "gid": 7, "additionalGids": [9]}
    bundle.process["cwd"] = "/tmp"
    assert inside(run, bundle, "id -u; id -g; pwd; hostname; echo $$ $HOME") == [
        "1000", "7", "/tmp", "box", "1 /root",
    ]  # fmt: skip


def test_capabilities_and_filter(run: Run, bundle: Bundle) -> None:
    script = "grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status | awk '{print $2}'"
    caps = "00000000a80425fb"
    assert inside(run, bundle, script) == ["0" * 16, caps, caps, caps, "0" * 16, "0", "2"]


def test_blocked_calls(run: Run, bundle: Bundle) -> None:
    script = "unshare -U true 2>/dev/null || echo no userns; mount -t tmpfs x /tmp 2>/dev/null || echo no mount"
    assert inside(run, bundle, script) == ["no userns", "no mount"]


def test_masks(run: Run, bundle: Bundle) -> None:
    script = (
        "wc -c < /proc/keys; ls -A /sys/firmware | wc -l; echo 1 > /proc/sys/kernel/x || echo ro"
    )
    assert inside(run, bundle, script + " 2>/dev/null") == ["0", "0", "ro"]


def test_devices(run: Run, bundle: Bundle) -> None:
    names = inside(run, bundle, "cd /dev; for n in *; do echo $n; done")
    # runc and crun link /proc/kcore as core too; it is masked.
    expected = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
    assert set(names) - {"core"} == set(expected.split())


def test_mounts(run: Run, bundle: Bundle) -> None:
    script = "awk '$2 ~ /^.(proc|sys|dev|dev.pts|dev.shm|dev.mqueue)$/ {print $2, $3, $4}' /proc/mounts | sort"
    rows = [line.split() for line in inside(run, bundle, script)]
    kinds = {row[0]: row[1] for row in rows}
    assert kinds == {
        "/proc": "proc",
        "/sys": "sysfs",
        "/dev": "tmpfs",
        "/dev/pts": "devpts",
        "/dev/shm": "tmpfs",
        "/dev/mqueue": "mqueue",
    }
    options = {row[0]: set(row[2].split(",")) for row in rows}
    assert {"ro", "nosuid", "nodev", "noexec"} <= options["/sys"]
    assert {"rw", "nosuid", "nodev", "noexec"} <= options["/proc"]
    assert "mode=620" in options["/dev/pts"]


def test_exit_code_of_the_program(run: Run, bundle: Bundle) -> None:
    bundle.shell("exit 42")
    assert run("run", "--bundle", str(bundle.path), bundle.name).returncode == 42


def test_a_program_that_is_not_there(run: Run, bundle: Bundle) -> None:
    bundle.process["args"] = ["nosuch"]
    done = run("run", "--bundle", str(bundle.path), bundle.name)
    assert done.returncode != 0
    assert "nosuch" in done.stderr


def test_create_state_start_kill_delete(
    run: Run, bundle: Bundle, tmp_path: Path, runtime: str
) -> None:
    bundle.shell("sleep 100").write()
    pid_file = tmp_path / "pid"
    command = [*prefix_of(runtime), "--root", str(bundle.path / "root"), "create"]
    arguments = ["--bundle", str(bundle.path), "--pid-file", str(pid_file), bundle.name]
    created = subprocess.run(
        [*command, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=300,
        check=False,
    )
    assert created.returncode == 0
    pid = int(pid_file.read_text())
    state = json.loads(run("state", bundle.name).stdout)
    assert (state["status"], state["pid"], state["id"]) == ("created", pid, bundle.name)
    assert run("start", bundle.name).returncode == 0
    assert json.loads(run("state", bundle.name).stdout)["status"] == "running"
    assert run("exec", bundle.name, "sh", "-c", "exit 5").returncode == 5
    assert run("kill", bundle.name, "KILL").returncode == 0
    assert wait_exit(pid)["code"] == 137
    assert json.loads(run("state", bundle.name).stdout)["status"] == "stopped"
    assert run("delete", bundle.name).returncode == 0
    assert run("state", bundle.name).returncode != 0


@pytest.fixture
def alive(run: Run, bundle: Bundle, runtime: str) -> Iterator[int]:
    """A container that sleeps; its init's pid. Nothing of it holds our pipes."""
    bundle.shell("sleep 100").write()
    pid_file = bundle.path / "pid"
    flags = ["--bundle", str(bundle.path), "--pid-file", str(pid_file), "--detach", bundle.name]
    done = subprocess.run(
        [*prefix_of(runtime), "--root", str(bundle.path / "root"), "run", *flags],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0
    pid = int(pid_file.read_text())
    yield pid
    run("delete", "--force", bundle.name)
    with contextlib.suppress(ChildProcessError):
        wait_exit(pid)
        while os.waitpid(-1, os.WNOHANG)[0]:  # crun leaves the process between it and the init.
            pass


def test_list(run: Run, bundle: Bundle, alive: int, runtime: str) -> None:
    (row,) = json.loads(run("list", "--format", "json").stdout)
    found = (row["id"], row["pid"], row["status"], row["bundle"], row["owner"])
    assert found == (bundle.name, alive, "running", str(bundle.path), "root")
    assert run("list", "-q").stdout.split() == [bundle.name]
    header, line = run("list").stdout.splitlines()
    # crun says NAME for ID, and has no OWNER.
    assert header.split()[1:5] == ["PID", "STATUS", "BUNDLE", "CREATED"] or runtime == "crun"
    assert line.split()[:4] == [bundle.name, str(alive), "running", str(bundle.path)]


def test_ps(run: Run, bundle: Bundle, alive: int, runtime: str) -> None:
    assert json.loads(run("ps", "--format", "json", bundle.name).stdout) == [alive]
    header, line = run("ps", bundle.name).stdout.splitlines()
    column = 0 if runtime == "crun" else 1  # it does not ask ps(1)
    assert (header.split()[column], line.split()[column]) == ("PID", str(alive))


def test_pause_and_resume(run: Run, bundle: Bundle, alive: int, runtime: str) -> None:
    def status() -> str:
        return str(json.loads(run("state", bundle.name).stdout)["status"])

    # crun resumes what runs.
    assert run("resume", bundle.name).returncode != 0 or runtime == "crun"
    assert run("pause", bundle.name).returncode == 0
    assert status() == "paused"
    assert run("delete", bundle.name).returncode != 0
    assert run("resume", bundle.name).returncode == 0
    assert status() == "running"


def test_update(run: Run, bundle: Bundle, alive: int, runtime: str) -> None:
    flags = ["--memory", str(40 << 20), "--pids-limit", "9", "--cpu-share", "512"]
    assert run("update", *flags, bundle.name).stderr == ""
    cgroup = Cgroup.of_process(alive)
    if directories := cgroup.v1_directories():
        limit = Path(directories["memory"], "memory.limit_in_bytes")
        pids = Path(directories["pids"], "pids.max")
    else:
        limit = Path(cgroup.unified_directory(), "memory.max")
        pids = Path(cgroup.unified_directory(), "pids.max")
    assert (limit.read_text(), pids.read_text()) == (f"{40 << 20}\n", "9\n")


def test_events_have_the_shape_of_runc(run: Run, bundle: Bundle, alive: int, runtime: str) -> None:
    if runtime == "crun":
        pytest.xfail("crun has no events")
    (line,) = run("events", "--stats", bundle.name).stdout.splitlines()
    event = json.loads(line)
    assert set(event) == {"type", "id", "data"}
    assert set(event["data"]) == {
        "cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces",
    }  # fmt: skip
    assert set(event["data"]["cpu"]) == {"usage", "throttling"}
    assert event["data"]["pids"] == {"current": 1}
    memory = event["data"]["memory"]
    assert set(memory["usage"]) >= {"limit", "usage", "failcnt"}
    assert {"swap", "kernel", "kernelTCP", "raw"} <= set(memory)


def test_spec(run: Run, bundle: Bundle, tmp_path: Path, runtime: str) -> None:
    prefix_of(runtime)
    elsewhere = tmp_path / "spec"
    elsewhere.mkdir()
    assert run("spec", "--bundle", str(elsewhere)).returncode == 0
    config = json.loads((elsewhere / "config.json").read_text())
    assert config["process"]["args"] == ["sh"]
    assert config["process"]["capabilities"]["bounding"] == [
        "CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE",
    ]  # fmt: skip
    assert [mount["destination"] for mount in config["mounts"]] == [
        "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup",
    ]  # fmt: skip
    assert len(config["linux"]["maskedPaths"]) == 10
    assert run("spec", "--bundle", str(elsewhere)).returncode != 0


def test_a_process_file(run: Run, bundle: Bundle, alive: int, tmp_path: Path) -> None:
    process = {
        "args": ["sh", "-c", "pwd; exit 3"],
        "cwd": "/etc",
        "env": ["PATH=/bin"],
        "user": {"uid": 0, "gid": 0},
    }
    (tmp_path / "process.json").write_text(json.dumps(process))
    done = run("exec", "--process", str(tmp_path / "process.json"), bundle.name)
    assert (done.returncode, done.stdout) == (3, "/etc\n")


def test_a_log_of_failures(run: Run, bundle: Bundle, tmp_path: Path, runtime: str) -> None:
    log = tmp_path / "log"
    bundle.write()
    done = subprocess.run(
        [*prefix_of(runtime), "--log", str(log), "--log-format", "json", "state", "nosuch"],
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert done.returncode != 0
    line = json.loads(log.read_text().splitlines()[-1])
    assert set(line) == {"level", "msg", "time"}
    assert line["level"] == "error"


def test_preserved_descriptors(bundle: Bundle, tmp_path: Path, runtime: str) -> None:
    bundle.shell("cat <&3; cat <&4; test -e /proc/self/fd/5 || echo none").write()
    for name in ("three", "four", "five"):
        (tmp_path / name).write_text(f"{name}\n")

    def place() -> None:
        fds = [os.open(tmp_path / name, os.O_RDONLY) for name in ("three", "four", "five")]
        fds = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in fds]
        for number, fd in enumerate(fds, 3):
            os.dup2(fd, number, inheritable=True)
            os.close(fd)

    flags = ["--bundle", str(bundle.path), "--preserve-fds", "2", bundle.name]
    done = subprocess.run(
        [*prefix_of(runtime), "--root", str(bundle.path / "root"), "run", *flags],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        close_fds=False,
        preexec_fn=place,
    )
    assert (done.stdout, done.returncode) == ("three\nfour\nnone\n", 0), done.stderr


def test_throttled_devices(run: Run, bundle: Bundle, runtime: str) -> None:
    number = bundle.path.stat().st_dev
    disk = f"{os.major(number)}:{os.minor(number)}"
    place = Path(f"/sys/dev/block/{disk}")
    if not place.exists() or (place / "partition").exists():
        pytest.skip("the test's directory lies on no whole disk")
    rate = {"major": os.major(number), "minor": os.minor(number), "rate": 1048576}
    bundle.linux["resources"]["blockIO"] = {"throttleReadBpsDevice": [rate]}
    v2 = host.cgroups().mode == "v2"
    file = "io.max" if v2 else "blkio/blkio.throttle.read_bps_device"
    limit = "rbps=1048576 wbps=max riops=max wiops=max" if v2 else "1048576"
    assert inside(run, bundle, f"cat /sys/fs/cgroup/{file}") == [f"{disk} {limit}"]


@pytest.mark.cgroup_v2
def test_limits_of_v2(run: Run, bundle: Bundle) -> None:
    bundle.linux["resources"] |= {
        "memory": {"limit": 64 << 20, "swap": 96 << 20, "reservation": 16 << 20},
        "cpu": {"quota": 20000, "period": 50000, "cpus": "0", "mems": "0", "shares": 2},
        "pids": {"limit": 20},
        "blockIO": {"weight": 500},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}],
        "unified": {"memory.oom.group": "1", "cgroup.max.depth": "3"},
    }
    files = (
        "memory.max memory.swap.max memory.low cpu.max cpuset.cpus cpuset.mems cpu.weight pids.max "
        "io.weight hugetlb.2MB.max memory.oom.group cgroup.max.depth /proc/self/cgroup"
    )
    assert inside(run, bundle, f"cd /sys/fs/cgroup; cat {files}") == [
        str(64 << 20), str(32 << 20), str(16 << 20), "20000 50000", "0", "0", "1", "20",
        "default 4950", str(4 << 20), "1", "3", "0::/",
    ]  # fmt: skip


@pytest.mark.cgroup_v2
def test_no_swap_below_the_memory(run: Run, bundle: Bundle, runtime: str) -> None:
    prefix_of(runtime)
    bundle.linux["resources"]["memory"] = {"limit": 64 << 20, "swap": 32 << 20}
    assert run("run", "--bundle", str(bundle.path), bundle.name).returncode != 0
    if runtime == "crun":  # it leaves the cgroup
        Path("/sys/fs/cgroup", bundle.name).rmdir()
