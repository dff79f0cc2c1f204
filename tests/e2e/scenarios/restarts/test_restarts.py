"""What happens to a service by itself: restart policies, and healing of the unhealthy."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from support.scenario import Scenario, eventually, not_on_peer

SUPERVISOR = "orchestra.engine.supervise"


def end_child(scenario: Scenario) -> None:
    """Have the service exit, once it has begun; it may take this command along."""
    script = "until kill $(cat /child); do usleep 10000; done 2>/dev/null"
    scenario.exec("web", "sh", "-c", script, code=None)


def test_always_restarts_after_an_exit(scenario: Scenario) -> None:
    scenario.up("web")
    before = scenario.started("web")
    end_child(scenario)
    eventually(lambda: scenario.started_since("web", before), "web is restarted")
    assert scenario.container("web").id == before.split()[0]


def test_always_restarts_after_kill_9_of_its_init(scenario: Scenario) -> None:
    scenario.up("web")
    before = scenario.started("web")
    os.kill(scenario.init_pid("web"), signal.SIGKILL)
    eventually(lambda: scenario.started_since("web", before), "web is restarted")


def test_stop_is_not_answered_by_a_restart(scenario: Scenario) -> None:
    scenario.up("web")
    scenario.run("stop", "web")
    assert scenario.container("web").state == "exited"
    scenario.run("up", "-d", "never")  # anything that lets the supervisor act once more
    assert scenario.container("web").state == "exited"


def test_on_failure_gives_up_after_its_count(scenario: Scenario) -> None:
    scenario.up("once")
    eventually(lambda: scenario.logs("once").count("try") == 3, "one start and two restarts")
    eventually(lambda: scenario.container("once").state == "exited", "no fourth attempt")
    assert scenario.container("once").exit_code == 3
    assert scenario.logs("once").count("try") == 3


def test_no_policy_means_no_restart(scenario: Scenario) -> None:
    scenario.up("never")
    eventually(lambda: scenario.container("never").state == "exited", "it ends")
    assert scenario.container("never").exit_code == 4


def test_an_unhealthy_service_is_healed(scenario: Scenario) -> None:
    not_on_peer("restart the unhealthy")
    scenario.up("--wait", "sick")
    before = scenario.started("sick")
    scenario.exec("sick", "touch", "/ill")
    eventually(lambda: scenario.started_since("sick", before), "sick is started again")
    eventually(lambda: scenario.container("sick").health == "healthy", "sick is healthy again")


def test_an_unhealthy_service_with_restart_no_is_left_alone(scenario: Scenario) -> None:
    scenario.up("--wait", "resigned")
    before = scenario.started("resigned")
    scenario.exec("resigned", "touch", "/ill")
    eventually(lambda: scenario.container("resigned").health == "unhealthy", "it is unhealthy")
    assert scenario.started("resigned") == before


def test_a_killed_supervisor_comes_back_and_goes_on(scenario: Scenario) -> None:
    not_on_peer("supervise each project apart")
    scenario.up("web")
    before = scenario.started("web")
    (old,) = scenario.processes(SUPERVISOR)
    os.kill(old, signal.SIGKILL)
    eventually(lambda: bool(scenario.processes(SUPERVISOR) - {old}), "a new supervisor")
    assert scenario.started("web") == before
    end_child(scenario)
    eventually(lambda: scenario.started_since("web", before), "the new one restarts web")


def test_the_supervisor_ends_with_the_project(scenario: Scenario) -> None:
    not_on_peer("supervise each project apart")
    scenario.up("web")
    assert len(scenario.processes(SUPERVISOR)) == 1
    scenario.run("down")
    eventually(lambda: not scenario.processes(SUPERVISOR), "the supervisor is gone")


def test_a_killed_shim_loses_neither_the_service_nor_its_restart(scenario: Scenario) -> None:
    not_on_peer("have a shim")
    scenario.up("web")
    before = scenario.started("web")
    stat = Path(f"/proc/{scenario.init_pid('web')}/stat").read_text()
    shim = int(stat.rpartition(")")[2].split()[1])
    os.kill(shim, signal.SIGKILL)
    eventually(lambda: scenario.services() == ["web"], "web runs, adopted or started anew")
    now = scenario.started("web")
    assert now.split()[0] == before.split()[0]
    os.kill(scenario.init_pid("web"), signal.SIGKILL)
    eventually(lambda: scenario.started_since("web", now), "web is restarted")
