"""Ctrl-C once and twice, a closed pipe, no terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from support.faults import Compose
from support.scenario import PATIENCE_SECONDS, Scenario, command, eventually

GATED = """\
services:
  db:
    image: busybox
    stop_grace_period: 2s
    command: ["sh", "-c", "trap 'exit 0' TERM; echo born; while :; do sleep 0.1; done"]
    healthcheck: {test: ["CMD", "test", "-e", "/open"], interval: 1s, retries: 100}
  app:
    image: busybox
    stop_signal: SIGKILL
    command: ["sleep", "1000"]
    depends_on: {db: {condition: service_healthy}}
"""
STUBBORN = """\
services:
  web:
    image: busybox
    stop_grace_period: 10m
    command: ["sh", "-c", "trap : TERM; echo born; while :; do sleep 0.1; done"]
"""
CHATTY = """\
services:
  web:
    image: busybox
    stop_signal: SIGKILL
    command: ["sh", "-c", "for n in $$(seq 20000); do echo line $$n; done; exec sleep 1000"]
"""


def wait_for_line(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if text in line:
            return
    raise AssertionError(f"no {text!r}")


def test_ctrl_c_at_a_gate_stops_what_was_started(compose: Compose) -> None:
    scenario = compose(GATED)
    with scenario.running("up") as process:
        wait_for_line(process, "born")
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 130
    assert scenario.services() == []
    assert scenario.container("db").exit_code == 0
    assert "app" not in scenario.services("exited")


def test_ctrl_c_at_a_gate_of_a_detached_up_leaves_what_runs(compose: Compose) -> None:
    scenario = compose(GATED)
    with scenario.running("up", "-d") as process:
        eventually(lambda: scenario.services() == ["db"], "db runs")
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 130
    assert scenario.services() == ["db"]
    scenario.exec("db", "touch", "/open")
    scenario.up()
    assert scenario.services() == ["app", "db"]


def test_a_second_ctrl_c_ends_the_command_at_once_and_down_cleans(compose: Compose) -> None:
    scenario = compose(STUBBORN)
    with scenario.running("up") as process:
        wait_for_line(process, "born")
        os.kill(process.pid, signal.SIGINT)
        wait_for_line(process, "Gracefully")
        time.sleep(0.3)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 130
    scenario.run("down", "-t", "1")
    eventually(lambda: not scenario.footprint.found(), "nothing is left")


def piped(scenario: Scenario, *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*command(), *words],
        cwd=scenario.directory,
        env=scenario.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_a_closed_pipe_ends_logs_quietly(compose: Compose) -> None:
    scenario = compose(CHATTY)
    scenario.up()
    eventually(lambda: "line 20000" in scenario.logs("--tail", "1"), "all is logged")
    for words in (("logs", "--no-color"), ("logs", "-f", "--no-color")):
        with piped(scenario, *words) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert b"line 1" in process.stdout.readline()
            process.stdout.close()
            assert process.wait(PATIENCE_SECONDS) in {0, 141, -signal.SIGPIPE}
            said = process.stderr.read().decode()
        assert "Traceback" not in said
        assert "BrokenPipe" not in said
        assert "bug" not in said


def test_a_closed_pipe_of_an_attached_up_leaves_no_mess(compose: Compose) -> None:
    scenario = compose(CHATTY)
    with piped(scenario, "up") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        process.wait(PATIENCE_SECONDS)
        said = process.stderr.read().decode()
    assert "Traceback" not in said
    assert "bug" not in said
    scenario.run("down")


@contextmanager
def heard(number: signal.Signals) -> Iterator[None]:
    """Start programs with a signal's default, whoever (nohup) has us ignore it."""
    before = signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(number, before)


def test_a_closed_terminal_of_a_detached_up_loses_nothing(compose: Compose) -> None:
    scenario = compose(GATED)
    with heard(signal.SIGHUP), scenario.running("up", "-d") as process:
        eventually(lambda: scenario.services() == ["db"], "db runs")
        os.kill(process.pid, signal.SIGHUP)
        process.wait(PATIENCE_SECONDS)
    scenario.exec("db", "touch", "/open")
    scenario.up()
    assert scenario.services() == ["app", "db"]
