"""The ``compose`` fixture: a project made of a text, each test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.faults import Compose
from support.scenario import PEER, Scenario


@pytest.fixture
def compose(scenario_of: Callable[[Path], Scenario], tmp_path: Path) -> Compose:
    """Make a project out of the text of a compose.yaml."""
    if PEER:
        pytest.skip("Docker Compose: it has other processes to kill, and other state to harm")

    def make(text: str, name: str = "faults") -> Scenario:
        source = tmp_path / name
        source.mkdir()
        (source / "compose.yaml").write_text(text)
        return scenario_of(source)

    return make
