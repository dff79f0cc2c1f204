"""The registry that tests pull from, through the project's own stand-in maker.

Started once per session where it does not run yet; whoever started it stops it (``make test``),
so a second run is warm.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VARIABLE = "ORCHESTRA_REGISTRY_MIRROR"
PATIENCE_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Standins:
    """Where images come from: ``mirror`` is the setting's value, None with the real registry."""

    mirror: str | None

    @property
    def environment(self) -> Mapping[str, str]:
        """Return what a program under test needs in its environment."""
        return {} if self.mirror is None else {VARIABLE: self.mirror}

    @property
    def url(self) -> str:
        """Return the base URL of the local registry.

        :raises ValueError: when the real registry is in use.
        """
        if self.mirror is None:
            raise ValueError("no local registry: the real one is in use")
        return self.mirror.partition("=")[2]


def start_standins() -> Standins:
    """Use what the environment says, else start the registry; skip the test where that fails."""
    if mirror := os.environ.get(VARIABLE):
        return Standins(mirror)
    done = subprocess.run(
        [ROOT / "scripts/standins/registry", "start"],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        pytest.skip(f"no stand-in images: {done.stderr.strip().splitlines()[-1]}")
    return Standins(done.stdout.strip().partition("=")[2] or None)
