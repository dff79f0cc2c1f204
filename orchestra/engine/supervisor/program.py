"""What a project's supervisor is, as a program."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from orchestra.engine.paths import Paths

_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")


def program_of(
    project: str, environment: Mapping[str, str]
) -> tuple[Sequence[str], Mapping[str, str]]:
    """Return the arguments and the environment of a project's supervisor."""
    argv = (sys.executable, "-I", "-m", "orchestra.engine.supervise", project)
    return argv, dict(environment)


def environment_of(paths: Paths, environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return what the supervisor gets: where things lie, and nothing of the user's own."""
    kept = {name: environment[name] for name in _KEPT if name in environment}
    return kept | {
        "ORCHESTRA_DATA": str(paths.data),
        "ORCHESTRA_RUN": str(paths.run),
        "ORCHESTRA_CONFIG": str(paths.config),
    }
