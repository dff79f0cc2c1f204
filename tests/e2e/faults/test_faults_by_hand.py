"""What a user deletes by hand is put back by the next ``up``, and the plan names it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support.faults import Compose, run_directory
from support.scenario import PATIENCE_SECONDS, Scenario, eventually

from orchestra.engine.network.naming import bridge_name, table_name

WEB = """\
services:
  web:
    image: busybox
    stop_signal: SIGKILL
    command: ["sh", "-c", "echo page > /index.html; exec httpd -f -p 80 -h /"]
    ports: ["127.0.0.1:${PORT}:80"]
    volumes: ["data:/data"]
  client:
    image: busybox
    stop_signal: SIGKILL
    command: ["sleep", "1000"]
volumes: {data: {}}
"""


FETCH = "timeout 20 wget -qO- http://$(nslookup web | awk '/^Address: /{print $2}')/"


def reaches(scenario: Scenario) -> bool:
    """Ask by name and fetch by address: a static busybox cannot do both at once."""
    return scenario.exec("client", "sh", "-c", FETCH, code=None).out == "page\n"


def bridge(scenario: Scenario) -> str:
    return bridge_name(f"{scenario.root}/data", f"{scenario.project}_default")


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True, timeout=PATIENCE_SECONDS)


def delete_bridge(scenario: Scenario) -> None:
    run("ip", "link", "delete", bridge(scenario))


def delete_table(scenario: Scenario) -> None:
    run("nft", "delete", "table", "inet", table_name(f"{scenario.root}/data", scenario.project))


def delete_veth(scenario: Scenario) -> None:
    scenario.footprint.remember()
    links = [
        link["ifname"]
        for link in json.loads(
            subprocess.run(
                ["ip", "-json", "link", "show", "master", bridge(scenario)],
                check=True,
                capture_output=True,
                timeout=PATIENCE_SECONDS,
            ).stdout
        )
    ]
    for link in links:
        run("ip", "link", "delete", link)


@pytest.mark.parametrize(
    ("harm", "named"),
    [
        pytest.param(delete_bridge, "network:default", id="bridge"),
        pytest.param(delete_table, "network:default", id="firewall"),
        pytest.param(delete_veth, "container:", id="links"),
    ],
)
def test_up_mends_the_network(
    compose: Compose, harm: Callable[[Scenario], None], named: str
) -> None:
    scenario = compose(WEB)
    scenario.up()
    eventually(lambda: reaches(scenario), "client reaches web")
    harm(scenario)
    assert named in scenario.run("plan").out
    scenario.up()
    eventually(lambda: reaches(scenario), "client reaches web again")
    scenario.run("plan", "--detailed-exitcode")


def delete_run_directory(scenario: Scenario) -> None:
    """As ``rm -rf`` would: the launcher meanwhile takes its own socket away."""
    place = run_directory(scenario)

    def gone() -> bool:
        shutil.rmtree(place, ignore_errors=True)
        return not place.exists()

    eventually(gone, "the run directory is gone")


def test_up_mends_a_deleted_run_directory(compose: Compose) -> None:
    scenario = compose(WEB)
    scenario.up()
    scenario.exec("web", "sh", "-c", "echo kept > /data/file")
    delete_run_directory(scenario)
    assert "start container:" in scenario.run("plan").out
    scenario.up()
    eventually(lambda: reaches(scenario), "client reaches web")
    assert scenario.exec("web", "cat", "/data/file").out == "kept\n"
    inits = [pid for pid in scenario.footprint.pids() if "httpd" in words(pid)]
    assert len(inits) == 1, "the old life is over"


def words(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def test_down_after_the_run_directory_was_deleted_leaves_nothing(compose: Compose) -> None:
    scenario = compose(WEB)
    scenario.up()
    delete_run_directory(scenario)
    scenario.run("down", "-v")
    eventually(lambda: not scenario.footprint.found(), "nothing is left")


def test_a_containers_cgroup_emptied_by_hand_is_made_again(compose: Compose) -> None:
    scenario = compose(WEB)
    scenario.up("client")
    found = list(scenario.footprint.found()["cgroups"])
    assert found
    before = scenario.started("client")
    identity = scenario.container("client").id
    for group in found:
        place = Path(group) / identity
        if not place.is_dir():
            continue
        for pid in (place / "cgroup.procs").read_text().split():
            (Path(group).parent / "cgroup.procs").write_text(pid)
        for directory, _, _ in os.walk(place, topdown=False):
            Path(directory).rmdir()
    assert scenario.exec("client", "echo", "hello", code=None).code in {0, 126}
    scenario.run("restart", "client")
    assert scenario.started_since("client", before)
    assert scenario.exec("client", "echo", "hello").out == "hello\n"
