"""Images that containers use stay; what nothing uses goes, and nothing else."""

from __future__ import annotations

import json

import pytest
from support.scenario import PEER, Scenario, eventually

pytestmark = pytest.mark.skipif(PEER, reason="docker's own commands for images are another program")


def images(scenario: Scenario) -> set[str]:
    return set(scenario.run("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").out.split())


def up(scenario: Scenario) -> None:
    """Start everything, and wait until ``done`` has ended."""
    scenario.up()
    eventually(lambda: scenario.container("done").state == "exited", "done ends")


def test_an_image_in_use_is_not_removed(scenario: Scenario) -> None:
    up(scenario)
    said = scenario.run("rmi", "busybox", code=5).err
    assert "the running container" in said
    assert "stop and remove it first" in said
    assert "the running container" in scenario.run("rmi", "-f", "busybox", code=5).err
    assert "the stopped container" in scenario.run("rmi", "alpine", code=5).err
    assert "Deleted: " in scenario.run("rmi", "-f", "alpine").out
    assert scenario.exec("web", "echo", "alive").out == "alive\n"
    scenario.run("start", "done")  # its layers are there as long as it is


def test_prune_spares_what_containers_use(scenario: Scenario) -> None:
    up(scenario)
    scenario.run("tag", "busybox", "spare:1")
    scenario.run("tag", "busybox", "busybox:kept")
    scenario.run("image", "prune", "-af")
    assert images(scenario) == {"busybox:latest", "busybox:kept", "spare:1", "alpine:latest"}
    scenario.run("rm", "-f", "done")
    scenario.run("image", "prune", "-af")
    assert "alpine:latest" not in images(scenario)
    assert scenario.exec("web", "echo", "alive").out == "alive\n"


def test_system_prune_takes_what_is_stopped_and_nothing_that_runs(scenario: Scenario) -> None:
    up(scenario)
    before = {
        row["Type"]: row
        for row in map(
            json.loads, scenario.run("system", "df", "--format", "json").out.splitlines()
        )
    }
    assert before["Containers"]["TotalCount"] == "2"
    assert before["Containers"]["Active"] == "1"
    said = scenario.run("system", "prune", "-af", "--volumes").out
    assert "Deleted Containers:" in said
    assert "-done-1" in said
    assert "_back" in said
    assert "Total reclaimed space: " in said
    assert images(scenario) == {"busybox:latest"}
    assert [c.service for c in scenario.containers()] == ["web"]
    assert scenario.exec("web", "echo", "alive").out == "alive\n"
    scenario.up()  # and all is made anew


def test_system_prune_asks_first(scenario: Scenario) -> None:
    up(scenario)
    said = scenario.run("system", "prune", code=2).err
    assert "all stopped containers" in said
    assert scenario.container("done").state == "exited"
