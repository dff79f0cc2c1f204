"""What a project became is remembered, so that a command may skip the model (ADR 0015)."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from orchestra.engine.paths import paths_of
from orchestra.engine.state.memo import Memo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchestra.engine.state.codec import Json
    from orchestra.spec.loader import Loaded
    from orchestra.spec.model.project import Project

T = TypeVar("T")


def remembered(
    loaded: Loaded,
    purpose: str,
    make: Callable[[Project], T],
    *,
    write: Callable[[T], Json],
    read: Callable[[object], T],
    environment: Mapping[str, str],
) -> tuple[T, tuple[str, ...], str | None]:
    """Return what ``make`` makes of a project, its warnings, and by what that is remembered.

    ``purpose`` names ``make`` and all that it depends on beside the project; ``read`` raises
    ValueError for what ``write`` did not write. Nothing is kept of a project with secrets out of
    variables: they would outlive it on disk.

    :raises SpecErrors: when anything in the files is wrong.
    """
    from orchestra.spec.identity import identity

    key = identity(loaded, purpose)
    memo = Memo(Path(paths_of(environment, uid=os.getuid()).memo))
    if key is not None:
        match memo.get(key):
            case {"warnings": [*warnings], "value": value}:
                with suppress(ValueError):  # of another form: it is made again
                    return read(value), tuple(map(str, warnings)), key
            case _:
                pass
    project = loaded.project()
    made = make(project)
    secret = any(one.environment for one in project.secrets.values())
    if key is not None and not secret:
        memo.put(key, {"warnings": list(project.warnings), "value": write(made)})
    return made, project.warnings, None if secret else key


def again(
    key: str, read: Callable[[object], T], environment: Mapping[str, str]
) -> tuple[T, tuple[str, ...]] | None:
    """Return what is remembered by a key, and the project's warnings; None when nothing is."""
    match Memo(Path(paths_of(environment, uid=os.getuid()).memo)).get(key):
        case {"warnings": [*warnings], "value": value}:
            with suppress(ValueError):
                return read(value), tuple(map(str, warnings))
        case _:
            pass
    return None
