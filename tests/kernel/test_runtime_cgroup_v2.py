"""cgroup v2 on whatever v2 hierarchy there is; on a hybrid host that is the unified one."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestra.engine.linux import forks, host
from orchestra.engine.linux.process import wait_exit
from orchestra.engine.runtime import usage
from orchestra.engine.runtime.cgroup import Cgroup
from orchestra.engine.runtime.cgroup_v2 import CgroupV2
from orchestra.engine.runtime.device_program import attach_device_program
from orchestra.engine.runtime.devices import cgroup_rules
from orchestra.engine.runtime.failure import RuntimeFailure

pytestmark = pytest.mark.kernel


@pytest.fixture
def cgroup(token: str) -> Iterator[CgroupV2]:
    unified = host.cgroups().unified
    if unified is None:
        pytest.skip("this host has no cgroup v2 hierarchy")
    cgroup = CgroupV2.below(unified, f"/orchestra/{token}/box")
    cgroup.create()
    yield cgroup
    cgroup.kill()
    cgroup.delete()


def test_a_process_is_born_into_it_and_killed_with_it(cgroup: CgroupV2) -> None:
    fd = cgroup.open()
    pid = forks.clone3(0, cgroup_fd=fd)
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    os.close(fd)
    assert cgroup.pids() == [pid]
    cgroup.kill()
    assert wait_exit(pid)["signal"] == 9


def test_freezing_holds_a_process(cgroup: CgroupV2) -> None:
    reader, writer = os.pipe()
    fd = cgroup.open()
    cgroup.freeze(frozen=True)
    pid = forks.clone3(0, cgroup_fd=fd)
    if pid == 0:
        os.write(writer, b"x")
        os._exit(0)
    os.close(fd)
    os.set_blocking(reader, False)
    with pytest.raises(BlockingIOError):
        os.read(reader, 1)
    cgroup.freeze(frozen=False)
    assert wait_exit(pid)["code"] == 0
    assert os.read(reader, 1) == b"x"
    os.close(reader)
    os.close(writer)


def tried(path: str, flags: int) -> int:
    try:
        os.close(os.open(path, flags))
    except OSError as err:
        return err.errno or 0
    return 0


def test_the_device_program(cgroup: CgroupV2) -> None:
    asked = {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "r"}
    attach_device_program(cgroup.directory, cgroup_rules([asked]))  # type: ignore[list-item]
    cases = [
        ("/dev/null", os.O_RDWR, 0),
        ("/dev/zero", os.O_RDONLY, 0),
        ("/dev/net/tun", os.O_RDONLY, 0),
        ("/dev/net/tun", os.O_RDWR, 1),
        ("/dev/kmsg", os.O_RDONLY, 1),
        ("/dev/loop-control", os.O_RDONLY, 1),
    ]
    cases = [case for case in cases if Path(case[0]).exists()]
    fd = cgroup.open()
    pid = forks.clone3(0, cgroup_fd=fd)
    if pid == 0:
        os._exit(int([tried(path, flags) for path, flags, _ in cases] != [c[2] for c in cases]))
    os.close(fd)
    assert wait_exit(pid)["code"] == 0


def test_a_file_that_is_not_there_is_named(cgroup: CgroupV2) -> None:
    with pytest.raises(RuntimeFailure, match=r'cannot set nosuch.max to "1"'):
        cgroup.apply({"unified": {"nosuch.max": "1"}})


def test_an_old_one_is_replaced_and_one_in_use_is_not(cgroup: CgroupV2) -> None:
    inode = Path(cgroup.directory).stat().st_ino
    cgroup.create()
    assert Path(cgroup.directory).stat().st_ino != inode
    fd = cgroup.open()
    pid = forks.clone3(0, cgroup_fd=fd)
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    os.close(fd)
    with contextlib.ExitStack() as stack:
        stack.callback(wait_exit, pid)
        stack.callback(cgroup.kill)
        with pytest.raises(RuntimeFailure, match="busy"):
            cgroup.create()


def test_huge_pages(cgroup: CgroupV2) -> None:
    size = Path(cgroup.directory, "hugetlb.2MB.max")
    if not size.exists():
        pytest.skip("this host has no v2 hugetlb controller, or no pages of 2 MiB")
    cgroup.apply({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 << 20}]})
    assert size.read_text() == f"{4 << 20}\n"
    pages = usage.statistics(Cgroup(cgroup, host.cgroups()))["hugetlb"]
    assert isinstance(pages, dict)
    assert pages["2MB"] == {"usage": 0, "max": 0, "failcnt": 0}
    with pytest.raises(RuntimeFailure, match=r"cannot set hugetlb\.3KB\.max"):
        cgroup.apply({"hugepageLimits": [{"pageSize": "3KB", "limit": 1}]})


def test_limits_by_name_of_the_file(cgroup: CgroupV2) -> None:
    cgroup.apply({"unified": {"cgroup.max.depth": "3", "cgroup.max.descendants": "5"}})
    assert Path(cgroup.directory, "cgroup.max.depth").read_text() == "3\n"
    with pytest.raises(RuntimeFailure, match="no cgroup file"):
        cgroup.apply({"unified": {"../cgroup.max.depth": "3"}})


def test_usage_of_v2_has_the_shape_of_runc(cgroup: CgroupV2) -> None:
    fd = cgroup.open()
    pid = forks.clone3(0, cgroup_fd=fd)
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    os.close(fd)
    found = usage.statistics(Cgroup(cgroup, host.cgroups()))
    cgroup.kill()
    wait_exit(pid)
    assert set(found) >= {"cpu", "cpuset", "memory", "pids", "blkio", "hugetlb"}
    memory = found["memory"]
    assert isinstance(memory, dict)
    assert set(memory) == {"cache", "usage", "swap", "kernel", "kernelTCP", "raw"}


def test_block_counters_of_v2(tmp_path: Path) -> None:
    """The lines are the kernel's own; this host may have no io controller for v2."""
    (tmp_path / "io.stat").write_text(
        "254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n253:0 \n"
    )
    found = usage.statistics(Cgroup(CgroupV2(str(tmp_path)), host.cgroups()))
    device = {"major": 254, "minor": 0}
    assert found["blkio"] == {
        "ioServiceBytesRecursive": [
            {**device, "op": "Read", "value": 4096},
            {**device, "op": "Write", "value": 8192},
        ],
        "ioServicedRecursive": [
            {**device, "op": "Read", "value": 1},
            {**device, "op": "Write", "value": 2},
        ],
    }
