"""Damaged records, a full or read-only disk: a clear error with the path, and others unharmed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.faults import Compose, data_directory
from support.scenario import PATIENCE_SECONDS, Scenario, eventually

ONE = """\
services:
  web:
    image: busybox
    stop_signal: SIGKILL
    command: ["sleep", "1000"]
    volumes: ["data:/data"]
volumes: {data: {}}
"""


def record(scenario: Scenario) -> Path:
    (path,) = (data_directory(scenario) / "containers").glob("*/record.json")
    return path


def desired(scenario: Scenario) -> Path:
    return data_directory(scenario) / "desired.json"


def network(scenario: Scenario) -> Path:
    return scenario.root / "data/networks" / f"{scenario.project}_default.json"


def volume(scenario: Scenario) -> Path:
    return scenario.root / "data/volumes" / f"{scenario.project}_data" / "record.json"


@pytest.mark.parametrize(
    ("of", "damage"),
    [
        pytest.param(record, "\0" * 100, id="container"),
        pytest.param(desired, "", id="desired"),
        pytest.param(network, '{"version": 99, "record": {}}', id="network"),
        pytest.param(volume, "{", id="volume"),
    ],
)
def test_a_damaged_record_is_named_and_harms_no_other_project(
    compose: Compose, of: Callable[[Scenario], Path], damage: str
) -> None:
    scenario = compose(ONE)
    other = scenario.sibling()
    scenario.up()
    path = of(scenario)
    whole = path.read_bytes()
    path.write_text(damage)
    for words in (("up", "-d"), ("down",)):
        done = scenario.run(*words, code=None)
        assert done.code == 5, done
        assert str(path) in done.err
        assert "hint:" in done.err
    other.up()
    assert other.services() == ["web"]
    other.run("down", "-v")
    path.write_bytes(whole)
    scenario.up()
    assert scenario.services() == ["web"]


def test_a_damaged_lock_is_no_obstacle(compose: Compose) -> None:
    scenario = compose(ONE)
    data_directory(scenario).mkdir(parents=True)
    (data_directory(scenario) / "lock").write_text("garbage \0\n")
    scenario.up()


@contextmanager
def mounted(place: Path, options: str) -> Iterator[None]:
    place.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", place],
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", place], check=True, timeout=PATIENCE_SECONDS)


def test_a_full_disk_is_told_and_leaves_nothing_half_made(compose: Compose) -> None:
    scenario = compose(ONE)
    with mounted(scenario.root / "data", "size=1m"):
        done = scenario.up(code=None)
        assert done.code == 5, done
        assert "no space left" in done.err.lower()
        assert "Traceback" not in done.err
        subprocess.run(
            ["mount", "-o", "remount,size=200m", scenario.root / "data"],
            check=True,
            timeout=PATIENCE_SECONDS,
        )
        scenario.up()
        assert scenario.services() == ["web"]
        scenario.run("down", "-v")


def test_a_disk_that_fills_up_while_running(compose: Compose) -> None:
    scenario = compose(ONE)
    with mounted(scenario.root / "data", "size=64m"):
        scenario.up()
        flood = scenario.root / "data/flood"
        subprocess.run(
            ["dd", "if=/dev/zero", f"of={flood}", "bs=1M"],
            check=False,
            capture_output=True,
            timeout=PATIENCE_SECONDS,
        )
        assert scenario.services() == ["web"], "reading needs no room"
        done = scenario.up("--force-recreate", code=None)
        assert done.code == 5, done
        assert "No space left" in done.err
        assert scenario.services() == ["web"], "the old one runs on"
        flood.unlink()
        scenario.up("--force-recreate")
        assert scenario.services() == ["web"]
        scenario.run("down", "-v")


def test_a_read_only_data_directory_is_told(compose: Compose) -> None:
    scenario = compose(ONE)
    with mounted(scenario.root / "data", "ro"):
        done = scenario.up(code=None)
        assert done.code == 5, done
        assert f"{scenario.root}/data" in done.err
        assert "ead-only" in done.err
        assert scenario.containers() == ()
    eventually(lambda: not scenario.footprint.found(), "nothing is left")
