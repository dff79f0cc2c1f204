"""Reading where this process stands in the cgroup hierarchies, from texts of /proc."""

from __future__ import annotations

import os

import pytest

from orchestra.engine.linux import process
from orchestra.engine.linux.host import parse_cgroups, parse_mountinfo

V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "33 32 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "34 32 0:31 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    "35 32 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
)


def test_v2() -> None:
    cgroups = parse_cgroups(V2, "0::/user.slice/session-1.scope\n")
    assert cgroups.mode == "v2"
    assert cgroups.unified is not None
    assert cgroups.unified.directory == "/sys/fs/cgroup/user.slice/session-1.scope"


def test_v1_with_joint_controllers_and_a_mount_of_a_part() -> None:
    membership = "3:cpu,cpuacct:/a\n2:memory:/docker/abc/x\n1:name=systemd:/\n"
    cgroups = parse_cgroups(V1, membership)
    assert cgroups.mode == "v1"
    directories = {item.name: item.directory for item in cgroups.v1}
    assert directories == {
        "cpu": "/sys/fs/cgroup/cpu,cpuacct/a",
        "cpuacct": "/sys/fs/cgroup/cpu,cpuacct/a",
        "memory": "/sys/fs/cgroup/memory/x",
        "name=systemd": "/sys/fs/cgroup/systemd",
    }


def test_hybrid() -> None:
    mountinfo = V1 + V2.replace("/sys/fs/cgroup rw", "/sys/fs/cgroup/unified rw")
    assert parse_cgroups(mountinfo, "3:cpu,cpuacct:/\n2:memory:/\n0::/\n").mode == "hybrid"


def test_none() -> None:
    assert parse_cgroups("", "").mode == "none"


def test_escapes_of_mountinfo() -> None:
    line = "1 2 0:3 /a\\040b /mnt/with\\040space\\134 rw - ext4 /dev/x\\011y rw\n"
    mount = parse_mountinfo(line)[0]
    assert (mount.root, mount.mountpoint, mount.source) == (
        "/a b",
        "/mnt/with space\\",
        "/dev/x\ty",
    )


def test_identity_of_a_process() -> None:
    who = process.identity(os.getpid())
    assert process.is_alive(who)
    assert not process.is_alive({**who, "start_time": who["start_time"] + 1})
    assert not process.is_alive({**who, "boot_id": "another"})
    with pytest.raises(ProcessLookupError):
        process.pidfd_open({**who, "start_time": 1})


def test_a_zombie_is_not_alive() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(5)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert not process.is_alive(process.identity(pid))
    assert process.wait_exit(pid) == {"code": 5, "signal": None}


def test_no_such_process() -> None:
    with pytest.raises(ProcessLookupError):
        process.identity(2**22 + 1)
