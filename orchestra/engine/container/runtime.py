"""Which OCI runtime runs a container: the native one, or a program by its argv prefix.

A service says so by its key ``runtime``, the command line by ``--runtime``, and the settings
(config.toml) for everything else:

    runtime = "runc"
"""

from __future__ import annotations

from orchestra.errors import ContainerError

NATIVE = "native"


def runtime_prefix(name: str | None) -> tuple[str, ...]:
    """Return the argv prefix of a runtime: empty for the native one, else its program's path.

    :raises ContainerError: when there is no such program.
    """
    if not name or name == NATIVE:
        return ()
    import shutil  # noqa: PLC0415 - takes longer than most of what is done here

    path = shutil.which(name)
    if path is None:
        raise ContainerError(
            f'cannot find the runtime "{name}"',
            hint=f"install it, or leave runtime out for the {NATIVE} one",
        )
    return (path,)
