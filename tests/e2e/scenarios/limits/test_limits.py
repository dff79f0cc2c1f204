"""What a service may use: set at the start, seen inside, measured, and enforced. cgroup v1 and v2."""

from __future__ import annotations

import json
import urllib.request

from support.scenario import PEER, Scenario, eventually

from orchestra.engine.linux import host

MIB = 1 << 20
V1 = {
    "memory/memory.limit_in_bytes": str(64 * MIB),
    "memory/memory.memsw.limit_in_bytes": str(96 * MIB),
    "memory/memory.soft_limit_in_bytes": str(16 * MIB),
    "cpu,cpuacct/cpu.cfs_quota_us": "50000",
    "cpu,cpuacct/cpu.shares": "1024",
    "cpuset/cpuset.cpus": "0",
    "pids/pids.max": "40",
}
V2 = {
    "memory.max": str(64 * MIB),
    "memory.swap.max": str(32 * MIB),
    "memory.low": str(16 * MIB),
    "cpu.max": "50000 100000",
    "cpu.weight": "100",
    "cpuset.cpus": "0",
    "pids.max": "40",
}
SELDOM_V1 = {
    "cpu/cpu.cfs_quota_us": "25000",
    "cpu/cpu.cfs_period_us": "50000",
    "memory/memory.oom_control": "oom_kill_disable 1",
    "memory/memory.swappiness": "37",
}


def limits(scenario: Scenario) -> dict[str, str]:
    """Return what the service's own cgroup says, by file; those that this host has."""
    expected = V2 if host.cgroups().mode == "v2" else V1
    script = "cd /sys/fs/cgroup; for f in $*; do [ -e $f ] && echo $f $(cat $f); done; true"
    lines = scenario.run("exec", "-T", "web", "sh", "-c", script, "sh", *expected).out.splitlines()
    found = dict(line.split(" ", 1) for line in lines)
    assert found.keys() & {"memory.max", "memory/memory.limit_in_bytes"}
    assert found == {name: expected[name] for name in found}
    return found


def test_a_limited_project_from_up_to_down(scenario: Scenario) -> None:
    scenario.run("up", "-d", "--wait")
    web = scenario.container("web")
    assert (web.state, web.health) == ("running", "healthy")
    address = f"http://localhost:{scenario.environment['PORT']}/hostname"
    with urllib.request.urlopen(address, timeout=20) as answer:
        assert answer.read()
    before = limits(scenario)
    said = json.loads(scenario.run("stats", "--no-stream", "--format", "json").out.splitlines()[0])
    assert said["MemUsage"].endswith("/ 64MiB")
    assert int(said["PIDs"]) >= 1
    scenario.run("pause", "web")
    assert scenario.container("web").state == "paused"
    scenario.run("unpause", "web")
    assert limits(scenario) == before
    scenario.run("restart", "-t", "0", "web")
    assert limits(scenario) == before
    scenario.run("down", "-v", "-t", "1")
    assert scenario.containers() == ()


def test_one_that_takes_too_much_memory_is_killed_and_it_shows(scenario: Scenario) -> None:
    scenario.run("--profile", "hungry", "up", "-d", "hungry")
    eventually(lambda: scenario.container("hungry").state == "exited", "it is killed")
    assert scenario.container("hungry").exit_code == 137
    if not PEER:
        (record,) = scenario.root.glob("data/projects/*/containers/*/exit.json")
        assert json.loads(record.read_text())["oom_killed"]


def test_what_this_kernel_has_is_set_and_what_it_has_not_is_named(scenario: Scenario) -> None:
    done = scenario.run("--profile", "seldom", "up", "-d", "seldom")
    v2 = host.cgroups().mode == "v2"
    expected = {"cpu.max": "25000 50000"} if v2 else SELDOM_V1
    script = "cd /sys/fs/cgroup; for f in $*; do head -n 1 $f; done"
    said = scenario.run("exec", "-T", "seldom", "sh", "-c", script, "sh", *expected).out
    assert dict(zip(expected, said.splitlines(), strict=True)) == expected
    if not PEER:
        left_out = [line for line in done.err.splitlines() if line.startswith("warning: ")]
        keys = [line.split()[2] for line in left_out if " is left out: " in line]
        assert keys == (["oom_kill_disable", "mem_swappiness"] if v2 else [])
