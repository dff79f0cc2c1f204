"""Docker Compose itself as the oracle of the loader; the runner of scripts/outside asks it too."""

from __future__ import annotations

from scripts.outside.oracle import PROGRAM, Verdict, config, output

__all__ = ["PROGRAM", "Verdict", "config", "output"]
