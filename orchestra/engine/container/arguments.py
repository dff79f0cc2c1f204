"""What a container runs and with which environment: the image's and the project's parts merged.

Pure. Rules of the Docker Engine (daemon/commit.go merge, daemon/oci_linux.go), and of compose-spec
05-services.md for an empty command.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from orchestra.engine.container.plain_process import pairs
from orchestra.errors import ContainerError

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_DEFAULT_SHELL = ("/bin/sh", "-c")


def merge_argv(
    entrypoint: tuple[str, ...] | None,
    command: tuple[str, ...] | None,
    image_entrypoint: tuple[str, ...] | None,
    image_command: tuple[str, ...] | None,
) -> tuple[str, ...]:
    """Return the argv: None takes the image's; an entrypoint of one's own drops the image's CMD.

    An empty entrypoint removes the image's alone; an empty command is no command.

    :raises ContainerError: when nothing is left to run.
    """
    chosen = image_entrypoint if entrypoint is None else entrypoint
    if chosen == ("",):
        chosen = ()
    keeps_command = not entrypoint or entrypoint == ("",)
    if command is None:
        command = image_command if keeps_command else ()
    argv = (*(chosen or ()), *(command or ()))
    if not argv:
        raise ContainerError(
            "cannot run the container: neither it nor its image names a command",
            hint="set command or entrypoint",
        )
    return argv


def merge_environment(
    image: Iterable[str],
    project: Mapping[str, str],
    unset: Iterable[str] = (),
    *,
    hostname: str,
    home: str,
    tty: bool,
) -> list[str]:
    """Return "KEY=value" lines: docker's own first, the image's over them, the project's on top.

    A key keeps its first place and takes its last value. ``unset``: what the project takes away,
    be it the image's or docker's own.
    """
    merged = {"PATH": DEFAULT_PATH, "HOSTNAME": hostname}
    if tty:
        merged["TERM"] = "xterm"
    merged |= dict(pairs(image))
    for name in unset:
        merged.pop(name, None)
    merged |= project
    merged.setdefault("HOME", home)
    return [f"{key}={value}" for key, value in merged.items()]


def shell_form(text: str, shell: Sequence[str] | None) -> tuple[str, ...]:
    """Return the argv of a CMD-SHELL text: the image's SHELL, else /bin/sh -c."""
    return (*(shell or _DEFAULT_SHELL), text)
