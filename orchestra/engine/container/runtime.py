"""Which OCI runtime runs a container: the native one, or a program by its argv prefix.

A service says so by its key ``runtime``, the command line by ``--runtime``, and the settings
(config.toml) for everything else:

    runtime = "runc"
"""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path, PurePosixPath

from orchestra.errors import ContainerError, Location, SpecError

NATIVE = "native"


def runtime_prefix(name: str | None) -> tuple[str, ...]:
    """Return the argv prefix of a runtime: empty for the native one, else its program's path.

    :raises ContainerError: when there is no such program.
    """
    if not name or name == NATIVE:
        return ()
    path = shutil.which(name)
    if path is None:
        raise ContainerError(
            f'cannot find the runtime "{name}"',
            hint=f"install it, or leave runtime out for the {NATIVE} one",
        )
    return (path,)


def read_default(config: PurePosixPath) -> str | None:
    """Return the runtime that a file of settings names.

    :raises SpecError: when it cannot be read, or names none.
    """
    try:
        document = tomllib.loads(Path(config).read_text("utf-8"))
    except (OSError, ValueError) as err:
        raise SpecError(f"cannot read the settings: {err}", location=Location(str(config))) from err
    chosen = document.get("runtime")
    if chosen is None:
        return None
    if not isinstance(chosen, str) or not chosen:
        raise SpecError(
            "not the name of a runtime",
            location=Location(str(config), key="runtime"),
            hint='write it as runtime = "runc"',
        )
    return chosen
