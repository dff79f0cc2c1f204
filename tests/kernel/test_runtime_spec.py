"""What the OCI's validation suite asks of a runtime, each at its smallest."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.bundles import Bundle
from support.verbs import NAME, call, create, end, start

from orchestra.engine.linux import host
from orchestra.engine.runtime import labels
from orchestra.engine.runtime.cgroup import Cgroup

pytestmark = pytest.mark.kernel


def refuse(bundle: Bundle, *names: str) -> None:
    """Have the filter refuse some system calls, and nothing else."""
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": list(names), "action": "SCMP_ACT_ERRNO"}],
    }


def hook(bundle: Bundle, kind: str, script: str) -> None:
    hooks = bundle.config.setdefault("hooks", {}).setdefault(kind, [])
    hooks.append({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]})


def test_a_filter_that_knows_no_new_system_calls(bundle: Bundle) -> None:
    refuse(bundle, "openat2", "close_range", "statx", "faccessat2")
    assert bundle.shell("echo here").run().lines == ["here"]
    bundle.process["args"] = ["nosuch"]
    assert bundle.fail().exit_code == 127


def test_a_filter_after_no_new_privileges_comes_last(bundle: Bundle) -> None:
    refuse(bundle, "capset", "capget", "prctl")
    bundle.process["noNewPrivileges"] = True
    assert bundle.shell("echo here").run().lines == ["here"]


def test_a_program_that_the_user_may_not_run_is_passed_over(bundle: Bundle) -> None:
    for name, mode in (("first", 0o700), ("second", 0o755)):
        (bundle.rootfs / name).mkdir()
        program = bundle.rootfs / name / "say"
        program.write_text(f"#!/bin/sh\necho {name}\n")
        program.chmod(mode)
    bundle.process.update({"env": ["PATH=/first:/second:/bin"], "args": ["say"]})
    bundle.process.update({"user": {"uid": 1000, "gid": 1000}, "capabilities": {}})
    assert bundle.run().lines == ["second"]
    bundle.process["env"] = ["PATH=/first:/bin"]
    assert bundle.fail().exit_code == 126


def test_the_status_that_each_hook_is_told(bundle: Bundle) -> None:
    for kind in ("prestart", "createRuntime", "poststart", "poststop"):
        hook(bundle, kind, f"cat > {bundle.path}/{kind}")
    bundle.run()
    told = {kind: json.loads((bundle.path / kind).read_text())["status"] for kind in HOOKS}
    assert told == HOOKS


HOOKS = {
    "prestart": "created",
    "createRuntime": "creating",
    "poststart": "running",
    "poststop": "stopped",
}


def test_a_poststart_hook_that_fails_stops_the_container(bundle: Bundle) -> None:
    hook(bundle.shell("sleep 100"), "poststart", "exit 3")
    pid = create(bundle)
    done = call(bundle, "start", NAME)
    assert (done.returncode, done.stderr) == (
        1,
        'the poststart hook "/bin/sh" failed with exit code 3\n',
    )
    os.waitpid(pid, 0)
    assert json.loads(call(bundle, "state", NAME).stdout)["status"] == "stopped"
    call(bundle, "delete", NAME)


def test_every_poststop_hook_is_run(bundle: Bundle) -> None:
    hook(bundle, "poststop", "exit 3")
    hook(bundle, "poststop", f"touch {bundle.path}/second")
    pid = start(bundle.shell("sleep 100"))
    done = call(bundle, "delete", "-f", NAME)
    os.waitpid(pid, 0)
    assert done.returncode == 0
    assert "level=warning" in done.stderr
    assert "failed with exit code 3" in done.stderr
    assert (bundle.path / "second").exists()


def test_what_becomes_of_the_bundle_is_not_the_containers(bundle: Bundle) -> None:
    pid = create(bundle.shell("exit 0"))
    (bundle.path / "config.json").write_text("{}")
    assert call(bundle, "start", NAME).returncode == 0
    os.waitpid(pid, 0)
    assert call(bundle, "delete", NAME).returncode == 0
    assert call(bundle, "list", "-q").stdout == ""


def test_the_version_stands_behind_other_options(bundle: Bundle) -> None:
    assert "spec: 1." in call(bundle, "--version").stdout


@pytest.mark.cgroup_v1
def test_the_limit_of_tcp_memory(bundle: Bundle) -> None:
    if host.cgroups().controller("memory") is None:
        pytest.skip("this host has no v1 memory cgroup")
    bundle.linux["resources"]["memory"] = {"limit": 1 << 26, "kernelTCP": 1 << 25}
    pid = start(bundle.shell("sleep 100"))
    directory = Cgroup.at(bundle.linux["cgroupsPath"]).v1_directories()["memory"]
    limit = Path(directory, "memory.kmem.tcp.limit_in_bytes").read_text()
    end(bundle, pid)
    assert int(limit) == 1 << 25


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({"classID": 5}, "this host has no net_cls cgroup"),
        ({"priorities": [{"name": "eth0", "priority": 5}]}, "this host has no net_prio cgroup"),
        ({"priorities": [{"name": "a b", "priority": 5}]}, '"a b" is no name of an interface'),
    ],
)
def test_network_limits(bundle: Bundle, network: dict[str, Any], said: str) -> None:
    if host.cgroups().mode == "v2":
        said = "the resource limit network is not supported"
    elif host.cgroups().controller("net_cls") is not None:
        pytest.skip("this host has the controllers")
    bundle.linux["resources"]["network"] = network
    assert said in bundle.fail().message


def mounts_below(bundle: Bundle, pid: int | str = "self") -> list[str]:
    """Return the mounts of a test's own; others come and go on the same machine."""
    lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    return [line for line in lines if str(bundle.path) in line]


def without_mount_namespace(bundle: Bundle, path: str = "") -> None:
    kinds = bundle.linux["namespaces"]
    kinds[:] = [kind for kind in kinds if kind["type"] != "mount"]
    if path:
        kinds.append({"type": "mount", "path": path})


def test_a_container_in_the_mount_namespace_of_its_maker(bundle: Bundle) -> None:
    without_mount_namespace(bundle)
    before = mounts_below(bundle)
    seen = bundle.shell("readlink /proc/self/ns/mnt; ls /; touch /made").run().lines
    assert seen[0] == str(Path("/proc/self/ns/mnt").readlink())
    assert set(seen[1:]) == {"bin", "dev", "etc", "proc", "root", "sys", "tmp"}
    assert (bundle.rootfs / "made").exists()
    assert mounts_below(bundle) == before


def test_one_that_fails_leaves_no_mounts_there(bundle: Bundle) -> None:
    without_mount_namespace(bundle)
    before = mounts_below(bundle)
    bundle.config["mounts"].append({"destination": "/x", "type": "bind", "source": "/nosuch"})
    assert "/nosuch" in bundle.fail().message
    assert mounts_below(bundle) == before


@pytest.fixture
def holder() -> Iterator[int]:
    """A process in a mount namespace of its own."""
    with subprocess.Popen(
        ["unshare", "-m", "sh", "-c", "echo; exec sleep 100"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.kill()


def test_a_container_in_a_mount_namespace_that_it_joins(bundle: Bundle, holder: int) -> None:
    without_mount_namespace(bundle, f"/proc/{holder}/ns/mnt")
    before = mounts_below(bundle, holder)
    seen = bundle.shell("readlink /proc/self/ns/mnt").run().lines
    assert seen == [str(Path(f"/proc/{holder}/ns/mnt").readlink())]
    assert mounts_below(bundle, holder) == before


@pytest.mark.parametrize(
    ("name", "shown"),
    [("shared", "shared:"), ("rslave", ""), ("rprivate", ""), ("unbindable", "unbindable")],
)
def test_the_propagation_of_the_root(bundle: Bundle, name: str, shown: str) -> None:
    bundle.linux["rootfsPropagation"] = name
    lines = bundle.shell("cat /proc/self/mountinfo").run().lines
    root, proc = (next(x for x in lines if x.split()[4] == path) for path in ("/", "/proc"))
    optional = root.split(" - ")[0].split()[6:]
    assert optional[0].startswith(shown) if shown else not optional
    assert not proc.split(" - ")[0].split()[6:]


def test_a_propagation_that_is_none(bundle: Bundle) -> None:
    bundle.linux["rootfsPropagation"] = "sideways"
    assert bundle.fail().message == 'root propagation "sideways" is unknown'


def test_files_have_no_context_without_selinux(bundle: Bundle) -> None:
    if host.has_selinux():
        pytest.skip("this host has SELinux")
    bundle.linux["mountLabel"] = "system_u:object_r:container_file_t:s0"
    assert bundle.shell("echo here").run().lines == ["here"]


def test_a_label_that_no_module_takes_is_an_error(bundle: Bundle) -> None:
    """The kernel refuses it, which shows that it was asked."""
    pid = os.fork()
    if pid == 0:
        try:
            labels.take((labels.Label("selinuxLabel", ("nosuch/exec", "exec"), "x:y:z"),))
        except Exception as failure:  # noqa: BLE001 - a process entry point
            os._exit(7 if 'cannot set selinuxLabel to "x:y:z"' in str(failure) else 1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    assert not bundle.state_root.exists()


def test_a_profile_that_apparmor_does_not_have(bundle: Bundle) -> None:
    bundle.process["apparmorProfile"] = "nosuch-profile"
    found = 'AppArmor has no profile "nosuch-profile"' if host.has_apparmor() else "has no AppArmor"
    assert found in bundle.fail().message
