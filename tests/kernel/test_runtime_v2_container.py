"""Containers on cgroup v2 alone: their namespace, memory and swap, update, events, pause."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.bundles import Bundle
from support.cell import open_cell, spec
from support.verbs import NAME, call, end, start

from orchestra.engine.container.failures import StartError
from orchestra.engine.container.freezer import freeze, is_frozen
from orchestra.engine.container.stats import usage_of
from orchestra.engine.linux.process import identity
from orchestra.engine.runtime.cgroup import Cgroup
from orchestra.planner.desired import Resources

pytestmark = [pytest.mark.kernel, pytest.mark.cgroup_v2]
MIB = 1 << 20
MEMORY_HOG = "dd if=/dev/zero of=/dev/null bs=48M count=1 2>/dev/null"


def value(bundle: Bundle, name: str) -> str:
    directory = Cgroup.at(bundle.linux["cgroupsPath"]).unified_directory()
    return Path(directory, name).read_text().strip()


def test_it_sees_its_own_cgroup_as_the_root(bundle: Bundle) -> None:
    bundle.linux["resources"].update({"memory": {"limit": 64 * MIB}, "pids": {"limit": 20}})
    script = (
        "cat /proc/self/cgroup; cd /sys/fs/cgroup; cat memory.max pids.max cgroup.type; "
        "mkdir x 2>/dev/null || echo read-only; awk '$2 == \"/sys/fs/cgroup\" {print $3}' /proc/mounts"
    )
    assert bundle.shell(script).run().lines == [
        "0::/", str(64 * MIB), "20", "domain", "read-only", "cgroup2",
    ]  # fmt: skip


def test_without_a_namespace_its_part_is_bound(bundle: Bundle) -> None:
    bundle.linux["namespaces"] = [n for n in bundle.linux["namespaces"] if n["type"] != "cgroup"]
    bundle.linux["resources"]["pids"] = {"limit": 20}
    lines = bundle.shell("cat /sys/fs/cgroup/pids.max /proc/self/cgroup").run().lines
    assert lines == ["20", f"0::{bundle.linux['cgroupsPath']}"]


def test_a_writable_one_can_be_divided(bundle: Bundle) -> None:
    """As systemd does inside a container: processes into a leaf, controllers handed down."""
    (mount,) = (m for m in bundle.config["mounts"] if m["type"] == "cgroup")
    mount["options"].remove("ro")
    script = (
        "cd /sys/fs/cgroup; mkdir init; echo 0 > init/cgroup.procs; "
        "echo +memory > cgroup.subtree_control; mkdir x; cat x/memory.max; cat /proc/self/cgroup"
    )
    assert bundle.shell(script).run().lines == ["max", "0::/init"]


@pytest.mark.parametrize(
    ("memory", "code"),
    [
        ({"limit": 24 * MIB, "swap": 24 * MIB}, 137),
        ({"limit": 24 * MIB, "swap": 96 * MIB}, 0),
        ({"limit": 24 * MIB, "swap": -1}, 0),
    ],
)
def test_memory_and_swap(bundle: Bundle, memory: dict[str, int], code: int) -> None:
    bundle.linux["resources"]["memory"] = memory
    assert bundle.shell(f"{MEMORY_HOG}; exit $?").run().code == code


def test_a_group_that_runs_out_of_memory_dies_whole(bundle: Bundle) -> None:
    bundle.linux["resources"].update(
        {"memory": {"limit": 16 * MIB, "swap": 16 * MIB}, "unified": {"memory.oom.group": "1"}}
    )
    assert bundle.shell(f"{MEMORY_HOG}; echo survived").run().code == 137


def test_update_by_flags(bundle: Bundle, running: int) -> None:
    flags = (
        "--memory 40m --memory-swap 60m --memory-reservation 20m --pids-limit 9 --cpu-shares 1024 "
        "--cpu-quota 20000 --cpu-period 50000 --cpu-burst 5000 --cpuset-cpus 0 --blkio-weight 10"
    )
    assert call(bundle, "update", *flags.split(), NAME).stderr == ""
    expected = {
        "memory.max": str(40 * MIB),
        "memory.swap.max": str(20 * MIB),
        "memory.low": str(20 * MIB),
        "pids.max": "9",
        "cpu.weight": "100",
        "cpu.max": "20000 50000",
        "cpu.max.burst": "5000",
        "cpuset.cpus": "0",
        "io.weight": "default 1",
    }
    assert {name: value(bundle, name) for name in expected} == expected
    assert call(bundle, "update", "--memory", "-1", "--cpu-burst", "0", NAME).stderr == ""
    assert value(bundle, "memory.swap.max") == "max"
    assert value(bundle, "cpu.max.burst") == "0"
    for idle in "10":
        assert call(bundle, "update", "--cpu-idle", idle, NAME).stderr == ""
        assert value(bundle, "cpu.idle") == idle


def test_an_update_leaves_devices_alone(bundle: Bundle, running: int) -> None:
    document = json.dumps({"memory": {"limit": 50 * MIB, "swap": 0}, "cpu": {}, "blockIO": None})
    assert call(bundle, "update", "-r", "-", NAME, stdin=document).stderr == ""
    assert value(bundle, "memory.max") == str(50 * MIB)
    script = "mknod /tmp/mem c 1 1 && cat /tmp/mem"
    assert "not permitted" in call(bundle, "exec", NAME, "sh", "-c", script).stderr


def test_events_stats_have_numbers(bundle: Bundle, running: int) -> None:
    call(bundle, "update", "--memory", "40m", "--memory-swap", "60m", "--pids-limit", "9", NAME)
    (line,) = call(bundle, "events", "--stats", NAME).stdout.splitlines()
    data = json.loads(line)["data"]
    assert data["pids"] == {"current": 1, "limit": 9}
    assert data["cpu"]["usage"]["total"] > 0
    memory = data["memory"]
    assert 0 < memory["usage"]["usage"] <= memory["usage"]["max"] <= 40 * MIB
    assert (memory["usage"]["limit"], memory["swap"]["limit"]) == (40 * MIB, 60 * MIB)
    assert memory["raw"]["anon"] > 0
    assert data["cpuset"]["cpus"] == list(range(os.cpu_count() or 0))
    assert data["hugetlb"]["2MB"]["usage"] == 0


def test_events_tell_of_lost_memory(bundle: Bundle) -> None:
    bundle.linux["resources"]["memory"] = {"limit": 16 * MIB, "swap": 16 * MIB}
    bundle.shell(f"cat /tmp/go; exec {MEMORY_HOG}")
    os.mkfifo(bundle.rootfs / "tmp/go")
    pid = start(bundle)
    command = [sys.executable, "-m", "orchestra.engine.runtime", "--root", str(bundle.state_root)]
    try:
        with subprocess.Popen(
            [*command, "events", "--interval", "20ms", NAME], stdout=subprocess.PIPE, text=True
        ) as watcher:
            assert watcher.stdout is not None
            first = watcher.stdout.readline()
            (bundle.rootfs / "tmp/go").write_text("go")
            kinds = {json.loads(line)["type"] for line in [first, *watcher.stdout]}
        assert kinds == {"stats", "oom"}
    finally:
        end(bundle, pid)


@pytest.mark.anyio
async def test_a_service_is_measured_and_paused(tmp_path: Path, token: str) -> None:
    limits = Resources(memory_bytes=64 * MIB, pids=50, cpus=0.5)
    async with open_cell(tmp_path, token) as cell:
        record = await cell.start(spec("/bin/sleep", "1000", resources=limits))
        init = identity(cell.pid(record, "init.pid"))
        usage = usage_of(init)
        assert usage is not None
        assert (usage.memory_limit_bytes, usage.pids) == (64 * MIB, 1)
        assert usage.memory_bytes > 0
        assert usage.cpu_time.total_seconds() > 0
        freeze(init, frozen=True)
        assert is_frozen(init)
        freeze(init, frozen=False)
        assert not is_frozen(init)


@pytest.mark.anyio
async def test_a_service_that_runs_out_of_memory_says_so(tmp_path: Path, token: str) -> None:
    limits = Resources(memory_bytes=16 * MIB, memory_swap_bytes=16 * MIB)
    async with open_cell(tmp_path, token) as cell:
        record = await cell.start(spec("/bin/sh", "-c", MEMORY_HOG, resources=limits))
        ended = await cell.containers.wait(record)
        assert ended is not None
        assert ended["oom_killed"]


@pytest.mark.anyio
async def test_processes_are_born_into_their_cgroup(tmp_path: Path, token: str) -> None:
    """Init and exec alike: nobody was ever outside, so nothing escapes the limit of processes."""
    async with open_cell(tmp_path, token) as cell:
        record = await cell.start(spec("/bin/sleep", "1000", resources=Resources(pids=1)))
        path = Path(f"/proc/{cell.pid(record, 'init.pid')}/cgroup").read_text().strip()
        assert path == f"0::/orchestra/{cell.project}/{record.id}"
        with pytest.raises(StartError, match="resource temporarily unavailable"):
            await cell.exec(record, "/bin/true")
