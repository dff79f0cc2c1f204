"""The same bundles under the native runtime, crun and runc, all by runc's verbs.

What a program inside sees must agree; where it may not, the expectation says so. Debian's crun
and runc are what `make test` installs.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.bundles import Bundle

from orchestra.engine.linux import host
from orchestra.engine.linux.process import wait_exit

pytestmark = pytest.mark.runtime

NATIVE = (sys.executable, "-m", "orchestra.engine.runtime")
# crun 1.8 refuses a hybrid host, and cannot load its device program without CAP_SYS_RESOURCE.
_ALONE = 'mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec crun --cgroup-manager=disabled "$@"'
CRUN_WITHOUT_CGROUPS = ("unshare", "-m", "--propagation", "slave", "sh", "-c", _ALONE, "crun")


def prefix_of(name: str) -> tuple[str, ...]:
    if name == "native":
        return NATIVE
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return CRUN_WITHOUT_CGROUPS if without_cgroups(name) else (name,)


def without_cgroups(name: str) -> bool:
    return name == "crun" and host.cgroups().mode == "hybrid"


@pytest.fixture(params=["native", "crun", "runc"])
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bundle(tmp_path: Path, token: str, runtime: str) -> Bundle:
    bundle = Bundle(tmp_path / "bundle", token)
    # Right below the root: runc and crun leave parents that they made.
    bundle.linux["cgroupsPath"] = f"/{token}"
    if without_cgroups(runtime):
        del bundle.linux["cgroupsPath"], bundle.linux["resources"]
        bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["type"] != "cgroup"]
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
            timeout=60,
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
        timeout=60,
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
