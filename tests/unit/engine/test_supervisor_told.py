"""What a supervisor tells of is read by its client as it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_ALONE = """
from orchestra.engine import events
from orchestra.engine.supervisor.protocol import decode_event, encode_event
event = events.{told}
assert decode_event(encode_event(event)) == event
"""
_WHO = "container_id='c', name='n', service='s'"


@pytest.mark.parametrize(
    "told",
    [
        f"ContainerStarted({_WHO})",
        f"ContainerExited({_WHO}, exit_code=3, will_restart=True)",
        f"HealthChanged({_WHO}, health=__import__('orchestra.planner.observed').planner.observed.Health.HEALTHY)",
    ],
    ids=["started", "exited", "health"],
)
def test_events_come_through_where_nothing_else_is_loaded(told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _ALONE.format(told=told)],
        env={"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
