"""What both build commands read alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestra.errors import UsageError


def parse_build_args(
    options: Iterable[str], environment: Mapping[str, str]
) -> Mapping[str, str | None]:
    """Parse ``--build-arg KEY[=VALUE]``; without a value, the environment's."""
    arguments: dict[str, str | None] = {}
    for option in options:
        key, equals, value = option.partition("=")
        arguments[key] = value if equals else environment.get(key)
    return arguments


def parse_ssh(text: str) -> tuple[str, str]:
    """Parse ``--ssh``: an id, and the absolute path of a socket or of keys; "" the user's agent.

    :raises UsageError: when the id is blank, or one that is not "default" names no path.
    """
    name, equals, path = text.partition("=")
    if not name or (name != "default" and not path) or (equals and not path):
        raise UsageError(
            f'--ssh "{text}" names no agent',
            hint="write --ssh default, or --ssh ID=SOCKET, or --ssh ID=KEY,KEY...",
        )
    whole = Path(path).expanduser()
    parts = [whole] if whole.exists() else [Path(part).expanduser() for part in path.split(",")]
    return name, ",".join(str(part.absolute()) for part in parts) if path else ""


def size_of(option: str, text: str) -> int | None:
    """Parse a size; None for "" and 0.

    :raises UsageError: when it is none.
    """
    if not text:
        return None
    from orchestra.spec.units import parse_size

    try:
        size = parse_size(text)
    except ValueError as err:
        raise UsageError(f'"{text}" is no value of {option}', hint="it is a size: 64m") from err
    return size or None
