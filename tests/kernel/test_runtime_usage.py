"""Limits changed and usage read while a container runs: update and events."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.bundles import Bundle
from support.verbs import NAME, call, end, start

from orchestra.engine.runtime.cgroup import Cgroup

pytestmark = pytest.mark.kernel


def memory_file(bundle: Bundle, name: str) -> str:
    memory = Cgroup.at(bundle.linux["cgroupsPath"]).v1_directories()["memory"]
    return Path(memory, name).read_text().strip()


@pytest.mark.cgroup_v1
def test_update_by_flags(bundle: Bundle, running: int) -> None:
    flags = (
        "--memory 40m --memory-swap 60m --memory-reservation 20m --pids-limit 9 --cpu-shares 512"
    )
    assert call(bundle, "update", *flags.split(), NAME).stderr == ""
    assert memory_file(bundle, "memory.limit_in_bytes") == str(40 << 20)
    assert memory_file(bundle, "memory.memsw.limit_in_bytes") == str(60 << 20)
    assert memory_file(bundle, "memory.soft_limit_in_bytes") == str(20 << 20)
    directories = Cgroup.at(bundle.linux["cgroupsPath"]).v1_directories()
    assert Path(directories["pids"], "pids.max").read_text() == "9\n"
    assert Path(directories["cpu"], "cpu.shares").read_text() == "512\n"
    flags = "--memory 80m --memory-swap 90m --cpu-quota 20000 --cpu-period 50000 --cpuset-cpus 0"
    assert call(bundle, "update", NAME, *flags.split()).stderr == ""
    assert memory_file(bundle, "memory.memsw.limit_in_bytes") == str(90 << 20)
    assert Path(directories["cpu"], "cpu.cfs_quota_us").read_text() == "20000\n"
    assert Path(directories["cpuset"], "cpuset.cpus").read_text() == "0\n"
    assert call(bundle, "update", "--memory-swap", "-1", "--memory", "100m", NAME).returncode == 0
    assert memory_file(bundle, "memory.limit_in_bytes") == str(100 << 20)


@pytest.mark.cgroup_v1
def test_update_by_a_document_leaves_devices_alone(bundle: Bundle, running: int) -> None:
    devices = Cgroup.at(bundle.linux["cgroupsPath"]).v1_directories()["devices"]
    before = Path(devices, "devices.list").read_text()
    document = json.dumps({"memory": {"limit": 50 << 20, "swap": 0}, "cpu": {}, "blockIO": None})
    assert call(bundle, "update", "-r", "-", NAME, stdin=document).stderr == ""
    assert memory_file(bundle, "memory.limit_in_bytes") == str(50 << 20)
    assert Path(devices, "devices.list").read_text() == before
    for text in ("[]", "{", '{"memory": {"nosuch": 1}}', '{"devices": [{"allow": true}]}'):
        done = call(bundle, "update", "-r", "-", NAME, stdin=text)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), text


@pytest.mark.cgroup_v1
def test_events_stats_are_one_line(bundle: Bundle, running: int) -> None:
    (line,) = call(bundle, "events", "--stats", NAME).stdout.splitlines()
    event = json.loads(line)
    data = event["data"]
    assert (event["type"], event["id"]) == ("stats", NAME)
    assert data["pids"] == {"current": 1}
    assert data["cpu"]["usage"]["total"] > 0
    assert 0 < data["memory"]["usage"]["usage"] <= data["memory"]["usage"]["max"]
    assert data["memory"]["raw"]["rss"] >= 0
    assert data["cpuset"]["cpus"]


@pytest.mark.cgroup_v1
def test_events_go_on_until_the_end_and_tell_of_lost_memory(bundle: Bundle) -> None:
    bundle.linux["resources"]["memory"] = {"limit": 16 << 20, "swap": 16 << 20}
    bundle.shell("cat /tmp/go; exec dd if=/dev/zero of=/dev/null bs=64M count=1")
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
        assert watcher.returncode == 0
    finally:
        end(bundle, pid)


@pytest.mark.cgroup_v1
def test_update_of_burst_and_idle(bundle: Bundle, running: int) -> None:
    directory = Cgroup.at(bundle.linux["cgroupsPath"]).v1_directories()["cpu"]
    quota = ["--cpu-quota", "50000", "--cpu-period", "100000", "--cpu-burst", "10000"]
    assert call(bundle, "update", *quota, NAME).stderr == ""
    assert Path(directory, "cpu.cfs_burst_us").read_text() == "10000\n"
    assert call(bundle, "update", "--cpu-idle", "1", NAME).stderr == ""
    assert Path(directory, "cpu.idle").read_text() == "1\n"


@pytest.mark.parametrize("text", ['{"memory": {"limit": "x"}}', '{"cpu": [1]}', '{"pids": 5}'])
def test_an_update_of_the_wrong_shape_is_one_line(bundle: Bundle, running: int, text: str) -> None:
    done = call(bundle, "update", "-r", "-", NAME, stdin=text)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
