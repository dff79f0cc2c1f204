"""Commands at once: one waits for the other, and what both leave is one whole project."""

from __future__ import annotations

import time

import pytest
from support.faults import Compose, init, kill
from support.scenario import PATIENCE_SECONDS, Scenario, eventually

PAIR = """\
services:
  db:
    image: busybox
    stop_signal: SIGKILL
    command: ["sleep", "1000"]
  app:
    image: busybox
    stop_signal: SIGKILL
    command: ["sleep", "1000"]
    depends_on: [db]
"""
GATED = """\
services:
  db:
    image: busybox
    stop_signal: SIGKILL
    restart: always
    command: ["sh", "-c", "echo born; exec sleep 1000"]
    volumes: ["data:/data"]
    healthcheck: {test: ["CMD", "test", "-e", "/data/open"], interval: 1s, retries: 100}
  app:
    image: busybox
    stop_signal: SIGKILL
    command: ["sleep", "1000"]
    depends_on: {db: {condition: service_healthy}}
volumes: {data: {}}
"""


def finish(process, *, code: int | None = 0) -> None:
    ended = process.wait(PATIENCE_SECONDS)
    assert code is None or ended == code


def test_up_against_down_ends_all_or_nothing(compose: Compose) -> None:
    scenario = compose(PAIR)
    scenario.up()
    with scenario.running("down") as down, scenario.running("up", "-d") as up:
        finish(down)
        finish(up)
    assert scenario.services() in ([], ["app", "db"])
    scenario.up()
    assert scenario.services() == ["app", "db"]


@pytest.mark.parametrize("pause", [0.0, 0.3, 0.6])
def test_down_right_after_up_leaves_no_supervisor_behind(compose: Compose, pause: float) -> None:
    scenario = compose("services: {web: {image: busybox, command: ['/nowhere']}}\n")
    with scenario.running("up", "-d") as up:
        if pause:
            time.sleep(pause)
        else:
            up.wait(PATIENCE_SECONDS)
        scenario.run("down", "-v", code=None)
        finish(up, code=None)
    scenario.run("down", "-v")
    eventually(lambda: not scenario.footprint.found(), "nothing is left")


def test_two_projects_at_once_do_not_meet(compose: Compose) -> None:
    scenario = compose(PAIR)
    other = scenario.sibling()
    for words in (("up", "-d"), ("down", "-v")):
        with scenario.running(*words) as first, other.running(*words) as second:
            finish(first)
            finish(second)
        expected = ["app", "db"] if words[0] == "up" else []
        assert scenario.services() == other.services() == expected


def test_a_dependency_that_crashes_behind_a_gate_is_restarted_and_the_gate_opens(
    compose: Compose,
) -> None:
    scenario = compose(GATED)
    with scenario.running("up", "-d") as up:
        eventually(lambda: scenario.services() == ["db"], "db runs")
        before = scenario.started("db")
        kill(init(scenario, "db"))
        eventually(lambda: scenario.started_since("db", before), "db is restarted")
        scenario.exec("db", "touch", "/data/open")
        finish(up)
    assert scenario.services() == ["app", "db"]
    eventually(lambda: scenario.logs("db").count("born") == 2, "two lives")


def gate_waits(scenario: Scenario) -> bool:
    return scenario.services() == ["db"]


def test_a_second_up_waits_for_the_one_at_a_gate(compose: Compose) -> None:
    scenario = compose(GATED)
    with scenario.running("up", "-d") as first:
        eventually(lambda: gate_waits(scenario), "db runs")
        with scenario.running("up", "-d") as second:
            scenario.exec("db", "touch", "/data/open")
            finish(first)
            finish(second)
    assert scenario.services() == ["app", "db"]
