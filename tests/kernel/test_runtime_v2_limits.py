"""Limits of config.json as the control files of cgroup v2 show them.

What is expected is what runc and crun write; where those two differ, what runc does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestra.engine.linux import forks, host
from orchestra.engine.linux.process import wait_exit
from orchestra.engine.runtime.cgroup import Cgroup
from orchestra.engine.runtime.failure import RuntimeFailure

pytestmark = [pytest.mark.kernel, pytest.mark.cgroup_v2]
MIB = 1 << 20


def disk(path: Path) -> dict[str, int]:
    """The whole disk that a path lies on."""
    number = path.stat().st_dev
    return {"major": os.major(number), "minor": os.minor(number)}


@pytest.fixture
def place(token: str) -> str:
    return f"/orchestra/{token}/box"


@pytest.fixture
def cgroup(place: str) -> Iterator[Cgroup]:
    cgroup = Cgroup.at(place)
    cgroup.create({})
    yield cgroup
    cgroup.kill()
    cgroup.delete()


def value(cgroup: Cgroup, name: str) -> str:
    return Path(cgroup.unified_directory(), name).read_text().strip()


@pytest.mark.parametrize(
    ("resources", "files"),
    [
        ({"memory": {"limit": 64 * MIB}}, {"memory.max": 64 * MIB, "memory.swap.max": "max"}),
        (
            {"memory": {"limit": 64 * MIB, "swap": 96 * MIB}},
            {"memory.max": 64 * MIB, "memory.swap.max": 32 * MIB},
        ),
        ({"memory": {"limit": 64 * MIB, "swap": 64 * MIB}}, {"memory.swap.max": 0}),
        ({"memory": {"limit": 64 * MIB, "swap": -1}}, {"memory.swap.max": "max"}),
        ({"memory": {"limit": -1, "swap": 32 * MIB}}, {"memory.swap.max": 32 * MIB}),
        ({"memory": {"limit": -1}}, {"memory.max": "max", "memory.swap.max": "max"}),
        ({"memory": {"reservation": 16 * MIB}}, {"memory.low": 16 * MIB}),
        ({"memory": {"reservation": -1}}, {"memory.low": "max"}),
        ({"cpu": {"shares": 1024}}, {"cpu.weight": 100}),
        ({"cpu": {"shares": 2}}, {"cpu.weight": 1}),
        ({"cpu": {"shares": 262144}}, {"cpu.weight": 10000}),
        ({"cpu": {"quota": 50000}}, {"cpu.max": "50000 100000"}),
        ({"cpu": {"quota": 20000, "period": 50000}}, {"cpu.max": "20000 50000"}),
        ({"cpu": {"quota": -1, "period": 50000}}, {"cpu.max": "max 50000"}),
        ({"cpu": {"quota": 50000, "burst": 10000}}, {"cpu.max.burst": 10000}),
        ({"cpu": {"idle": 1}}, {"cpu.idle": 1}),
        ({"cpu": {"cpus": "0", "mems": "0"}}, {"cpuset.cpus": "0", "cpuset.mems": "0"}),
        ({"pids": {"limit": 9}}, {"pids.max": 9}),
        ({"pids": {"limit": -1}}, {"pids.max": "max"}),
        ({"blockIO": {"weight": 10}}, {"io.weight": "default 1"}),
        ({"blockIO": {"weight": 500}}, {"io.weight": "default 4950"}),
        (
            {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]},
            {"hugetlb.2MB.max": 4 * MIB, "hugetlb.2MB.rsvd.max": 4 * MIB},
        ),
        ({"unified": {"memory.oom.group": "1"}}, {"memory.oom.group": 1}),
        ({"memory": {"limit": MIB}, "unified": {"memory.max": "2M"}}, {"memory.max": 2 * MIB}),
    ],
)
def test_a_limit(cgroup: Cgroup, resources: Any, files: dict[str, int | str]) -> None:
    cgroup.update(resources)
    assert {name: value(cgroup, name) for name in files} == {
        name: str(expected) for name, expected in files.items()
    }


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ({"memory": {"limit": 64 * MIB, "swap": 32 * MIB}}, "the limit of the memory alone is"),
        ({"memory": {"swap": 32 * MIB}}, "cannot limit swap: the memory has no limit"),
        ({"blockIO": {"leafWeight": 100}}, "cannot set blockIO.leafWeight: cgroup v2 has none"),
        ({"cpu": {"realtimeRuntime": 1000}}, "cannot set cpu.realtimeRuntime"),
        ({"memory": {"swappiness": 31}}, "the resource limit memory.swappiness is not supported"),
        ({"memory": {"disableOOMKiller": True}}, "memory.disableOOMKiller is not supported"),
        ({"cpu": {"cpus": "999"}}, 'cannot set cpuset.cpus to "999"'),
        ({"unified": {"nosuch.max": "1"}}, 'to "1": the cgroup has no nosuch controller'),
        ({"unified": {"memory.nosuch": "1"}}, 'cannot set memory.nosuch to "1"'),
    ],
)
def test_a_limit_that_cannot_be(cgroup: Cgroup, resources: Any, said: str) -> None:
    with pytest.raises(RuntimeFailure) as caught:
        cgroup.update(resources)
    assert said in caught.value.message


def test_limits_of_a_disk(cgroup: Cgroup, tmp_path: Path) -> None:
    device = disk(tmp_path)
    name = f"{device['major']}:{device['minor']}"
    throttle = {
        "throttleReadBpsDevice": [{**device, "rate": 1048576}],
        "throttleWriteIOPSDevice": [{**device, "rate": 77}],
    }
    cgroup.update({"blockIO": throttle})  # type: ignore[typeddict-item]
    assert value(cgroup, "io.max") == f"{name} rbps=1048576 wbps=max riops=max wiops=77"
    lifted = {"throttleReadBpsDevice": [{**device, "rate": 0}]}
    cgroup.update({"blockIO": lifted})  # type: ignore[typeddict-item]
    assert value(cgroup, "io.max") == f"{name} rbps=max wbps=max riops=max wiops=77"
    cgroup.update({"unified": {"io.max": f"{name} wiops=max\n{name} rbps=5000\n"}})
    assert value(cgroup, "io.max") == f"{name} rbps=5000 wbps=max riops=max wiops=max"


def test_a_weight_for_a_disk_that_is_not_there(cgroup: Cgroup) -> None:
    """Refused by name, as by crun; runc says nothing where there is no BFQ."""
    weight = {"weightDevice": [{"major": 7, "minor": 999, "weight": 1000}]}
    with pytest.raises(RuntimeFailure, match=r'weight to "7:999 10+": (no such|operation not)'):
        cgroup.update({"blockIO": weight})  # type: ignore[typeddict-item]


def test_the_sum_of_memory_and_swap_stays(cgroup: Cgroup) -> None:
    cgroup.update({"memory": {"limit": 40 * MIB, "swap": 60 * MIB}})
    cgroup.update({"memory": {"limit": 50 * MIB}})
    assert value(cgroup, "memory.swap.max") == str(10 * MIB)
    with pytest.raises(RuntimeFailure, match="cannot limit memory and swap"):
        cgroup.update({"memory": {"limit": 70 * MIB}})
    assert value(cgroup, "memory.max") == str(50 * MIB)
    cgroup.update({"memory": {"swap": 90 * MIB}})
    assert value(cgroup, "memory.swap.max") == str(40 * MIB)


def test_a_period_keeps_the_quota(cgroup: Cgroup) -> None:
    cgroup.update({"cpu": {"quota": 20000}})
    cgroup.update({"cpu": {"period": 50000}})
    assert value(cgroup, "cpu.max") == "20000 50000"


def test_quota_and_burst_both_ways(cgroup: Cgroup) -> None:
    for quota, burst in ((50000, 50000), (20000, 10000), (90000, 80000), (20000, 0)):
        cgroup.update({"cpu": {"quota": quota, "burst": burst}})
        assert value(cgroup, "cpu.max.burst") == str(burst)


def test_an_idle_one_is_woken_with_a_weight(cgroup: Cgroup) -> None:
    cgroup.update({"cpu": {"idle": 1}})
    cgroup.update({"cpu": {"idle": 0, "shares": 262144}})
    assert (value(cgroup, "cpu.idle"), value(cgroup, "cpu.weight")) == ("0", "10000")


def sleeper(cgroup: Cgroup) -> int:
    fd = cgroup.open()
    pid = forks.clone3(0, cgroup_fd=fd)
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    os.close(fd)
    return pid


def controllers(directory: str | Path) -> set[str]:
    return set(Path(directory, "cgroup.controllers").read_text().split())


def made(path: str) -> Iterator[Path]:
    """A cgroup of somebody else's, who hands no controller down."""
    unified = host.cgroups().unified
    assert unified is not None
    directory = Path(unified.mountpoint + path)
    directory.mkdir()
    yield directory
    directory.rmdir()


@pytest.fixture
def slice_(token: str) -> Iterator[Path]:
    yield from made(f"/{token}.slice")


def test_controllers_come_through_somebody_elses_cgroup(slice_: Path) -> None:
    """As below a slice of systemd, which hands down only what its units ask for."""
    path = f"/{slice_.name}/orchestra/box"
    cgroup = Cgroup.at(path)
    assert not (slice_ / "cgroup.subtree_control").read_text().split()
    cgroup.create({"memory": {"limit": MIB}, "hugepageLimits": [{"pageSize": "2MB", "limit": 0}]})
    try:
        assert controllers(cgroup.unified_directory()) == controllers(slice_.parent)
    finally:
        cgroup.delete()
    assert list(slice_.glob("*/")) == []


def test_what_was_taken_back_is_had_again(cgroup: Cgroup, place: str) -> None:
    """The parent is ours and there, but without a controller: systemd may have reloaded."""
    parent = Path(cgroup.unified_directory()).parent
    (parent / "cgroup.subtree_control").write_text("-pids")
    second = Cgroup.at(place + "-2")
    try:
        second.create({"pids": {"limit": 9}})
        assert value(second, "pids.max") == "9"
    finally:
        second.delete()


def test_a_parent_with_processes_hands_nothing_down(slice_: Path) -> None:
    """A limit is refused by name; without one the container starts, as with runc."""
    pid = sleeper(Cgroup.at(f"/{slice_.name}"))
    cgroup = Cgroup.at(f"/{slice_.name}/box")
    try:
        cgroup.create({})
        with pytest.raises(RuntimeFailure, match="the cgroup has no memory controller"):
            cgroup.update({"memory": {"limit": MIB}})
    finally:
        Cgroup.at(f"/{slice_.name}").kill()
        wait_exit(pid)
        cgroup.delete()


def test_frozen_ones_are_killed_and_gone(cgroup: Cgroup) -> None:
    pid = sleeper(cgroup)
    cgroup.freeze(frozen=True)
    while not cgroup.is_frozen():
        pass
    cgroup.kill()
    assert wait_exit(pid)["signal"] == 9
    cgroup.delete()
    assert not Path(cgroup.unified_directory()).exists()


def test_cgroups_inside_go_too(cgroup: Cgroup) -> None:
    """A container with writable cgroups makes some of its own."""
    Path(cgroup.unified_directory(), "system.slice/deep").mkdir(parents=True)
    pid = sleeper(
        Cgroup.at(f"{cgroup.unified_directory().removeprefix('/sys/fs/cgroup')}/system.slice/deep")
    )
    assert cgroup.pids() == [pid]
    cgroup.kill()
    wait_exit(pid)
    cgroup.delete()
    assert not Path(cgroup.unified_directory()).exists()
