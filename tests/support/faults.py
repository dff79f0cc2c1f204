"""What fault tests do to a scenario: find its own processes by its run directory, and kill them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from support.scenario import PATIENCE_SECONDS, Scenario, eventually

SUPERVISOR = "orchestra.engine.supervise"
Compose = Callable[..., Scenario]


def run_directory(scenario: Scenario) -> Path:
    """Return the project's volatile directory."""
    return scenario.root / "run/projects" / scenario.project


def data_directory(scenario: Scenario) -> Path:
    """Return the project's durable directory."""
    return scenario.root / "data/projects" / scenario.project


def supervisor(scenario: Scenario) -> int:
    """Return the pid of the one supervisor."""
    (pid,) = scenario.processes(SUPERVISOR)
    return pid


def _identity(path: Path) -> int:
    return int(json.loads(path.read_bytes())["pid"])


def launcher(scenario: Scenario) -> int:
    """Return the pid of the launcher."""
    return _identity(run_directory(scenario) / "launcher.pid")


def place(scenario: Scenario, service: str) -> Path:
    short = scenario.container(service).id
    (place,) = (run_directory(scenario) / "containers").glob(f"{short}*")
    return place


def shim(scenario: Scenario, service: str) -> int:
    """Return the pid of a service's shim."""
    return _identity(place(scenario, service) / "shim.pid")


def init(scenario: Scenario, service: str) -> int:
    """Return the pid of a service's init."""
    return _identity(place(scenario, service) / "init.pid")


def alive(pid: int) -> bool:
    """Tell whether a process lives, and is no zombie."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def kill(*pids: int) -> None:
    """Kill processes, and see them gone."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not any(map(alive, pids)), f"{pids} are dead")


def kill_everything(scenario: Scenario) -> None:
    """Kill every process of the scenario, as a power cut would: together, until none is left."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while pids := list(scenario.footprint.pids()):
        assert time.monotonic() < deadline, pids
        kill(*pids)


def pids_of(scenario: Scenario, services: Iterable[str]) -> dict[str, int]:
    """Return the init of each service."""
    return {service: init(scenario, service) for service in services}
