"""The rarer parts of config.json for Linux: limits, scheduling, clocks, identities."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.bundles import Bundle

from orchestra.engine.linux import host
from orchestra.engine.runtime.cgroup import Cgroup
from orchestra.engine.runtime.config import load_config
from orchestra.engine.runtime.failure import RuntimeFailure

pytestmark = pytest.mark.kernel


def disk_of(path: Path) -> dict[str, int]:
    """The whole disk that a path lies on."""
    number = path.stat().st_dev
    place = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve()
    if (place / "partition").exists():
        place = place.parent
    if not place.exists():
        pytest.skip("the test's directory lies on no disk")
    major, minor = (place / "dev").read_text().strip().split(":")
    return {"major": int(major), "minor": int(minor)}


@pytest.mark.cgroup_v1
def test_throttled_devices(bundle: Bundle) -> None:
    disk = disk_of(bundle.path)
    bundle.linux["resources"]["blockIO"] = {
        "throttleReadBpsDevice": [{**disk, "rate": 1048576}],
        "throttleWriteIOPSDevice": [{**disk, "rate": 77}],
    }
    init = bundle.create((0, 1, 2))
    try:
        directory = Cgroup.at(bundle.linux["cgroupsPath"]).v1_directories()["blkio"]
        name = f"{disk['major']}:{disk['minor']}"
        read = Path(directory, "blkio.throttle.read_bps_device").read_text()
        write = Path(directory, "blkio.throttle.write_iops_device").read_text()
        assert (read, write) == (f"{name} 1048576\n", f"{name} 77\n")
        init.start()
    finally:
        init.channel.close()
        os.waitpid(init.pid, 0)
        bundle.delete()


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ({"blockIO": {"weight": 5}}, "cannot set a block I/O weight of 5: it is 10 to 1000"),
        ({"blockIO": {"nosuch": 5}}, "the resource limit blockIO.nosuch is not supported"),
        ({"hugepageLimits": [{"pageSize": "../x", "limit": 1}]}, "is no size of a huge page"),
        ({"rdma": {"mlx": {"hcaHandles": 1}}}, "the resource limit rdma is not supported"),
    ],
)
def test_limits_that_cannot_be(bundle: Bundle, resources: dict[str, Any], said: str) -> None:
    bundle.linux["resources"].update(resources)
    assert said in bundle.fail().message


@pytest.mark.cgroup_v1
def test_huge_pages_of_a_host_without_the_controller(bundle: Bundle) -> None:
    if host.cgroups().controller("hugetlb") is not None:
        pytest.skip("this host has the controller")
    bundle.linux["resources"]["hugepageLimits"] = [{"pageSize": "2MB", "limit": 1 << 21}]
    assert "this host has no hugetlb cgroup" in bundle.fail().message


@pytest.mark.cgroup_v1
def test_unified_limits_are_refused_on_v1(bundle: Bundle) -> None:
    bundle.linux["resources"]["unified"] = {"memory.high": "1"}
    assert bundle.fail().message == "cannot set unified cgroup limits: this host has cgroup v1"


def test_the_scheduler(bundle: Bundle) -> None:
    bundle.process["scheduler"] = {"policy": "SCHED_BATCH", "nice": 7}
    # man 5 proc_pid_stat: fields 19 (nice) and 41 (policy).
    assert bundle.shell("awk '{print $19, $41}' /proc/self/stat").run().lines == ["7 3"]


def test_the_scheduler_of_another_process(bundle: Bundle) -> None:
    bundle.process["scheduler"] = {"policy": "SCHED_IDLE"}
    assert bundle.shell("awk '{print $41}' /proc/self/stat").run().lines == ["5"]


@pytest.mark.parametrize(
    ("scheduler", "said"),
    [
        ({"policy": "SCHED_NOSUCH"}, 'unknown scheduling policy "SCHED_NOSUCH"'),
        ({"policy": "SCHED_OTHER", "flags": ["X"]}, 'unknown scheduling flag "X"'),
        ({"policy": "SCHED_OTHER", "nice": 20}, "nice 20 is not -20 to 19"),
        ({"policy": "SCHED_OTHER", "priority": 5}, "a priority is for SCHED_FIFO and SCHED_RR"),
        ({"policy": "SCHED_OTHER", "runtime": 5}, "times are for SCHED_DEADLINE"),
    ],
)
def test_schedulers_that_cannot_be(bundle: Bundle, scheduler: dict[str, Any], said: str) -> None:
    bundle.process["scheduler"] = scheduler
    assert said in bundle.fail().message


def test_the_io_priority(bundle: Bundle) -> None:
    bundle.process["ioPriority"] = {"class": "IOPRIO_CLASS_IDLE", "priority": 0}
    link = bundle.rootfs / "bin/ionice"
    link.symlink_to("busybox")
    assert bundle.shell("ionice").run().output.startswith("idle")
    bundle.process["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 6}
    assert bundle.shell("ionice").run().lines == ["best-effort: prio 6"]
    bundle.process["ioPriority"] = {"class": "IOPRIO_CLASS_BE", "priority": 8}
    assert "8 is not 0 to 7" in bundle.fail().message


def test_the_personality(bundle: Bundle) -> None:
    link = bundle.rootfs / "bin/uname"
    link.symlink_to("busybox")
    bundle.linux["personality"] = {"domain": "LINUX32"}
    machine = bundle.shell("uname -m").run().output.strip()
    assert machine != os.uname().machine
    bundle.linux["personality"] = {"domain": "LINUX"}
    assert bundle.shell("uname -m").run().output.strip() == os.uname().machine
    bundle.linux["personality"] = {"domain": "BSD"}
    assert bundle.fail().message == 'unknown personality "BSD"'


def test_clocks_of_a_time_namespace(bundle: Bundle) -> None:
    bundle.linux["namespaces"].append({"type": "time"})
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 864000}, "monotonic": {"secs": 5}}
    uptime = float(bundle.shell("cat /proc/uptime").run().output.split()[0])
    assert 863000 < uptime - time.clock_gettime(time.CLOCK_BOOTTIME) < 865000
    bundle.linux["timeOffsets"] = {"realtime": {"secs": 5}}
    assert bundle.fail().message == 'no clock "realtime" can have an offset'


def test_offsets_without_a_time_namespace(bundle: Bundle) -> None:
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 5}}
    assert bundle.fail().message == "timeOffsets need a new time namespace"


@pytest.mark.parametrize(
    ("key", "name"), [("apparmorProfile", "AppArmor"), ("selinuxLabel", "SELinux")]
)
def test_labels_of_a_security_module_that_is_not_there(bundle: Bundle, key: str, name: str) -> None:
    bundle.process[key] = "x"
    assert bundle.fail().message.startswith(f"cannot set {key}: ")
    assert name in bundle.fail().message


@pytest.mark.parametrize(
    ("key", "part"),
    [
        ("intelRdt", "linux"),
        ("memoryPolicy", "linux"),
        ("netDevices", "linux"),
        ("execCPUAffinity", "process"),
        ("vm", "config"),
    ],
)
def test_parts_that_are_refused_by_name(bundle: Bundle, key: str, part: str) -> None:
    getattr(bundle, part)[key] = {"closID": "x"}
    bundle.write()
    with pytest.raises(RuntimeFailure, match=f"{key} is not supported"):
        load_config(str(bundle.path))


@pytest.fixture
def reachable(token: str) -> Iterator[Bundle]:
    """A bundle that every user can get to; pytest's directories are root's alone."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Bundle(Path(directory) / "bundle", token)


def test_a_user_namespace(reachable: Bundle) -> None:
    bundle = reachable
    bundle.linux["namespaces"] += [{"type": "user"}, {"type": "network"}]
    mapping = [{"containerID": 0, "hostID": 100000, "size": 1001}]
    bundle.linux.update({"uidMappings": mapping, "gidMappings": mapping})
    (bundle.rootfs / "tmp").chmod(0o777)
    script = "id -u; cat /proc/self/uid_map; touch /tmp/mine; stat -c %u /tmp/mine"
    lines = bundle.shell(script).run().lines
    assert [line.split() for line in lines] == [["0"], ["0", "100000", "1001"], ["0"]]
    assert (bundle.rootfs / "tmp/mine").stat().st_uid == 100000


def test_clocks_and_mapped_owners_in_a_user_namespace(reachable: Bundle) -> None:
    bundle = reachable
    bundle.linux["namespaces"] += [{"type": "user"}, {"type": "network"}, {"type": "time"}]
    mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
    bundle.linux.update({"uidMappings": mapping, "gidMappings": mapping})
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 864000}}
    uptime = float(bundle.shell("cat /proc/uptime").run().output.split()[0])
    assert uptime > 864000
    (bundle.rootfs / "shared").mkdir()  # The root is not its to write.
    shared(bundle, "bind", "idmap", uidMappings=mapping, gidMappings=mapping)
    assert bundle.shell("stat -c %u /shared").run().lines == ["0"]


def shared(bundle: Bundle, *options: str, **more: Any) -> Path:
    """Bind a directory of the host at /shared."""
    source = bundle.path / "shared"
    source.mkdir(exist_ok=True)
    mount = {"destination": "/shared", "type": "bind", "source": str(source)}
    bundle.config["mounts"].append({**mount, "options": list(options), **more})
    return source


OWNERS = {
    "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
    "gidMappings": [{"containerID": 0, "hostID": 2000, "size": 1}],
}


@pytest.mark.parametrize("options", [["bind", "idmap"], ["rbind", "ridmap"], ["bind"]])
def test_mapped_owners_of_a_mount(bundle: Bundle, options: list[str]) -> None:
    source = shared(bundle, *options, **OWNERS)
    (source / "file").touch()
    bundle.process["user"] = {"uid": 1000, "gid": 2000}
    script = "stat -c '%u %g' /shared/file; touch /shared/mine; ls /proc/self/fd | wc -l"
    assert bundle.shell(script).run().lines == ["1000 2000", "4"]
    made = (source / "mine").stat()
    assert (made.st_uid, made.st_gid) == (0, 0)


@pytest.fixture
def below(bundle: Bundle) -> Iterator[Path]:
    """A directory with another mount in it."""
    source = bundle.path / "shared"
    (source / "sub").mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", source / "sub"], check=True)
    yield source
    subprocess.run(["umount", source / "sub"], check=True)


def test_idmap_leaves_the_mounts_below_alone(bundle: Bundle, below: Path) -> None:
    (below / "sub/file").touch()
    shared(bundle, "rbind", "idmap", **OWNERS)
    bundle.shell("stat -c %u /shared /shared/sub/file")
    assert bundle.run().lines == ["1000", "0"]


def test_ridmap_maps_the_mounts_below(bundle: Bundle, below: Path) -> None:
    (below / "sub/file").touch()
    shared(bundle, "rbind", "ridmap", **OWNERS)
    bundle.shell("stat -c %u /shared /shared/sub/file")
    if host.kernel_version() >= (6, 3):
        assert bundle.run().lines == ["1000", "1000"]
        return
    with pytest.raises(RuntimeFailure, match="/shared"):  # no tmpfs can be mapped there
        bundle.run()


def test_attributes_of_the_mounts_below(bundle: Bundle, below: Path) -> None:
    script = "touch /shared/a 2>/dev/null || echo ro; touch /shared/sub/a 2>/dev/null || echo ro"
    script += "; awk '$2 ~ /shared/ {print $4}' /proc/mounts"
    shared(bundle, "rbind", "rro", "rnosuid", "rnodev", "rnoexec")
    lines = bundle.shell(script).run().lines
    assert lines[:2] == ["ro", "ro"]
    for line in lines[2:]:
        assert {"ro", "nosuid", "nodev", "noexec"} <= set(line.split(","))
    bundle.config["mounts"][-1]["options"] = ["rbind", "ro"]
    assert "ro" not in bundle.run().lines[1:2]


@pytest.mark.parametrize(
    ("options", "more", "said"),
    [
        (["bind", "idmap"], {}, "it needs uidMappings"),
        (["bind"], {"uidMappings": OWNERS["uidMappings"]}, "it needs uidMappings"),
        (["bind"], {**OWNERS, "uidMappings": OWNERS["uidMappings"] * 2}, "invalid argument"),
    ],
)
def test_mappings_that_cannot_be(
    bundle: Bundle, options: list[str], more: dict[str, Any], said: str
) -> None:
    shared(bundle, *options, **more)
    message = bundle.fail().message
    assert message.startswith('cannot map the owners of "/shared": ')
    assert said in message
