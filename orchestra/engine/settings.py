"""What the settings (config.toml) say of containers; image/settings.py has those of registries."""

from __future__ import annotations

import tomllib
from pathlib import Path, PurePosixPath

from orchestra.errors import Location, SpecError


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
