"""kill -9 of any process of ours, at any moment: the next command converges, nothing is lost."""

from __future__ import annotations

import json
import random
import shutil
import time

from support.faults import (
    Compose,
    alive,
    init,
    kill,
    kill_everything,
    launcher,
    place,
    shim,
    supervisor,
)
from support.scenario import Scenario, eventually

GATED = """\
services:
  db:
    image: busybox
    stop_signal: SIGKILL
    command: ["sh", "-c", "echo born >> /data/lives; exec sleep 1000"]
    volumes: ["data:/data"]
    healthcheck: {test: ["CMD", "test", "-e", "/data/open"], interval: 1s, retries: 100}
  app:
    image: busybox
    stop_signal: SIGKILL
    command: ["sleep", "1000"]
    depends_on: {db: {condition: service_healthy}}
volumes: {data: {}}
"""
PAIR = """\
services:
  web:
    image: busybox
    stop_signal: SIGKILL
    restart: always
    command: ["sh", "-c", "n=0; while :; do echo line $$n; n=$$((n+1)); sleep 0.05; done"]
    healthcheck: {test: ["CMD", "test", "!", "-e", "/sick"], interval: 1s, retries: 2}
    volumes: ["data:/data"]
  other:
    image: busybox
    stop_signal: SIGKILL
    command: ["sleep", "1000"]
volumes: {data: {}}
"""


def open_gate(scenario: Scenario) -> None:
    scenario.exec("db", "touch", "/data/open")


def resolves(scenario: Scenario, name: str = "other") -> bool:
    return scenario.exec("web", "nslookup", name, code=None).code == 0


def test_a_cli_killed_at_a_gate_is_continued_by_the_next(compose: Compose) -> None:
    scenario = compose(GATED)
    with scenario.running("up", "-d") as process:
        eventually(lambda: scenario.services() == ["db"], "db runs")
        process.kill()
        process.wait()
    db = scenario.started("db")
    open_gate(scenario)
    scenario.up()
    assert scenario.services() == ["app", "db"]
    assert scenario.started("db") == db, "what runs already is left alone"
    assert scenario.exec("db", "cat", "/data/lives").out == "born\n"


def test_down_cleans_up_after_a_cli_killed_at_a_gate(compose: Compose) -> None:
    scenario = compose(GATED)
    with scenario.running("up", "-d") as process:
        eventually(lambda: scenario.services() == ["db"], "db runs")
        process.kill()
        process.wait()
    scenario.run("down", "-v")
    eventually(lambda: not scenario.footprint.found(), "nothing is left")


def test_a_cli_killed_at_any_moment_is_continued_by_the_next(compose: Compose) -> None:
    scenario = compose(PAIR)
    moment = random.uniform(0.2, 0.9)
    with scenario.running("up", "-d") as process:
        time.sleep(moment)
        process.kill()
        process.wait()
    scenario.up()
    assert scenario.services() == ["other", "web"], f"killed after {moment:.3f} s"
    eventually(lambda: resolves(scenario), "names resolve")


def test_health_and_restarts_go_on_after_the_supervisors_death(compose: Compose) -> None:
    scenario = compose(PAIR)
    scenario.up("--wait")
    before = scenario.started("web")
    old = supervisor(scenario)
    kill(old)
    eventually(lambda: bool(scenario.processes("orchestra.engine.supervise")), "a new supervisor")
    assert scenario.container("web").health == "healthy", "what was known of its health is kept"
    assert scenario.started("web") == before
    eventually(lambda: resolves(scenario), "names resolve")
    scenario.exec("web", "touch", "/sick")
    eventually(lambda: scenario.started_since("web", before), "it is healed")


def test_a_dead_launcher_is_replaced_and_the_pair_is_whole_again(compose: Compose) -> None:
    scenario = compose(PAIR)
    scenario.up("--wait")
    before, old = scenario.started("web"), launcher(scenario)
    kill(old)
    eventually(lambda: launcher(scenario) != old, "a new launcher")
    assert scenario.exec("web", "echo", "hello").out == "hello\n"
    assert scenario.started("web") == before, "the containers go on"
    eventually(lambda: resolves(scenario), "names resolve")
    eventually(lambda: len(scenario.processes("orchestra.engine.supervise")) == 1, "one supervisor")
    first = supervisor(scenario)
    kill(first)
    eventually(
        lambda: bool(scenario.processes("orchestra.engine.supervise") - {first}),
        "the new launcher keeps the supervisor alive",
    )
    kill(init(scenario, "web"))
    eventually(lambda: scenario.started_since("web", before), "it restarts web")


def test_after_a_launchers_death_up_starts_no_second_supervisor(compose: Compose) -> None:
    scenario = compose(PAIR)
    scenario.up()
    old = launcher(scenario)
    kill(old)
    eventually(lambda: launcher(scenario) != old, "a new launcher")
    scenario.up("--force-recreate", "other")
    time.sleep(1)
    eventually(lambda: len(scenario.processes("orchestra.engine.supervise")) == 1, "one supervisor")
    assert scenario.services() == ["other", "web"]


def test_with_launcher_and_supervisor_dead_the_next_command_repairs(compose: Compose) -> None:
    scenario = compose(PAIR)
    scenario.up("--wait")
    before = scenario.started("web")
    kill(supervisor(scenario), launcher(scenario))
    kill(*scenario.processes("orchestra.engine.supervise"))
    assert scenario.services() == ["other", "web"], "the containers go on"
    scenario.up()
    assert scenario.started("web") == before
    eventually(lambda: resolves(scenario), "names resolve")
    kill(init(scenario, "web"))
    eventually(lambda: scenario.started_since("web", before), "it is restarted")


def test_a_killed_shim_loses_no_line_and_its_end_is_noticed(compose: Compose) -> None:
    scenario = compose(PAIR)
    scenario.up()
    before, old = scenario.started("web"), shim(scenario, "web")
    kill(old)
    eventually(lambda: shim(scenario, "web") != old, "a new shim")
    assert scenario.started("web") == before
    eventually(lambda: resolves(scenario), "its resolver's sockets are held on")
    last = len(scenario.logs("--no-log-prefix", "web").splitlines())
    eventually(lambda: f"line {last + 5}\n" in scenario.logs("web"), "the log goes on")
    lines = scenario.logs("--no-log-prefix", "web").splitlines()
    assert lines == [f"line {n}" for n in range(len(lines))], "no line is lost"
    kill(init(scenario, "web"))
    eventually(lambda: scenario.started_since("web", before), "web is restarted")


def test_everything_killed_at_once_and_down_cleans(compose: Compose) -> None:
    scenario = compose(PAIR)
    scenario.up()
    kill_everything(scenario)
    scenario.run("down", "-v")
    eventually(lambda: not scenario.footprint.found(), "nothing is left")


def reboot(scenario: Scenario) -> None:
    """Do what a reboot does to us: no process, no run directory."""
    kill_everything(scenario)
    shutil.rmtree(scenario.root / "run")


def test_after_a_reboot_ps_says_lost_and_up_starts_again_with_the_data(compose: Compose) -> None:
    scenario = compose(PAIR)
    scenario.up()
    scenario.exec("web", "sh", "-c", "echo kept > /data/file; echo kept > /layer")
    identity = scenario.container("web").id
    reboot(scenario)
    assert scenario.services() == []
    assert {each.state for each in scenario.containers()} <= {"lost", "dead", "exited"}
    scenario.up("--wait")
    assert scenario.container("web").id == identity
    assert scenario.exec("web", "cat", "/data/file", "/layer").out == "kept\nkept\n"
    eventually(lambda: "line 0" in scenario.logs("web"), "it speaks")
    eventually(lambda: resolves(scenario), "names resolve")


def test_after_a_reboot_down_cleans(compose: Compose) -> None:
    scenario = compose(PAIR)
    scenario.up()
    reboot(scenario)
    scenario.run("down", "-v")
    eventually(lambda: not scenario.footprint.found(), "nothing is left")


def test_a_reused_pid_is_nobody_of_ours(compose: Compose) -> None:
    """Everything dies, and the pids in the run directory are another program's now."""
    scenario = compose(PAIR)
    scenario.up("other")
    directory = place(scenario, "other")
    kill_everything(scenario)
    stranger = 1
    for name in ("shim.pid", "init.pid"):
        who = json.loads((directory / name).read_text())
        (directory / name).write_text(json.dumps(who | {"pid": stranger}))
    assert scenario.services() == []
    scenario.up("other")
    assert scenario.services() == ["other"]
    assert alive(stranger)
