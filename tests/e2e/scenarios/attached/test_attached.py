"""up in the foreground."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest
from support.scenario import PATIENCE_SECONDS, Scenario

pytestmark = pytest.mark.timeout(300)  # a line that never comes would be waited for


def read_until(process: subprocess.Popen[str], *wanted: str) -> list[str]:
    """Read lines until each of ``wanted`` was among them."""
    assert process.stdout is not None
    lines: list[str] = []
    missing = set(wanted)
    for line in process.stdout:
        lines.append(line)
        missing -= {text for text in missing if text in line}
        if not missing:
            return lines
    raise AssertionError(f"no {sorted(missing)} in:\n{''.join(lines)}")


def test_ctrl_c_stops_everything_in_reverse_order(scenario: Scenario) -> None:
    with scenario.running("up") as process:
        lines = read_until(process, "db starts", "app starts")
        assert any(line.startswith("db-1") for line in lines)
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE_SECONDS) == 130
    stopped = (scenario.directory / "order/stopped").read_text().split()
    assert stopped == ["app", "db"], "app depends on db and stops first"
    assert scenario.services() == []
    assert scenario.services("exited") == ["app", "db"]


def test_sigterm_stops_everything_too(scenario: Scenario) -> None:
    with scenario.running("up") as process:
        read_until(process, "db starts", "app starts")
        process.terminate()
        process.wait(PATIENCE_SECONDS)
    assert scenario.services() == []


def test_up_ends_when_every_container_has(scenario: Scenario) -> None:
    done = scenario.run("up", "--no-color", "job", code=None)
    assert "working" in done.out
    assert "6" in done.text
    assert scenario.container("job").exit_code == 6


def test_exit_code_from_is_the_services(scenario: Scenario) -> None:
    scenario.run("up", "--exit-code-from", "job", "job", code=6)


def test_a_service_started_attached_is_there_for_the_next_up(scenario: Scenario) -> None:
    with scenario.running("up") as process:
        read_until(process, "db starts", "app starts")
        before = scenario.started("db")
        scenario.up()
        assert scenario.started("db") == before
        os.kill(process.pid, signal.SIGINT)
        process.wait(PATIENCE_SECONDS)
