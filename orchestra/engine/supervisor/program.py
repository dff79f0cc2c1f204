"""What a project's supervisor is, as a program."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence


def program_of(
    project: str, environment: Mapping[str, str]
) -> tuple[Sequence[str], Mapping[str, str]]:
    """Return the arguments and the environment of a project's supervisor."""
    argv = (sys.executable, "-I", "-m", "orchestra.engine.supervise", project)
    return argv, dict(environment)
