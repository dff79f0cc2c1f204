"""Global options, as parsed; imports nothing of the engine."""

from __future__ import annotations

from orchestra.errors import UsageError
from orchestra.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalOptions:
    """What stands before the command."""

    files: tuple[str, ...] = ()
    project_name: str | None = None
    project_directory: str | None = None
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    ansi: str = "auto"
    progress: str = "auto"
    runtime: str | None = None
    debug: bool = False


def check_choice(option: str, value: str, allowed: Sequence[str]) -> None:
    """Refuse a value that an option does not have.

    :raises UsageError: when it is none of the allowed ones.
    """
    if value not in allowed:
        raise UsageError(f'"{value}" is no value of {option}', hint=f"use {', '.join(allowed)}")
