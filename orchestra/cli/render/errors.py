"""Errors as text on stderr: place, message, hint; the cause and the trace with --debug only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from orchestra.cli.declare import Exit
from orchestra.cli.render.terminal import printable
from orchestra.errors import (
    BugError,
    EngineError,
    OrchestraError,
    SpecErrors,
    StepErrors,
    UsageError,
)

UNSTARTED = 125
"""The code that a process has which did not start for another reason than its program."""
EXEC_UNSTARTED = 126
"""That of ``docker exec`` and of docker compose's for the same."""


def lines_of(error: OrchestraError) -> list[str]:
    """Return an error as lines, each of several with its own hint."""
    if isinstance(error, SpecErrors | StepErrors):
        return [line for each in error.errors for line in lines_of(each)]
    place = f"{error.location}: " if error.location else ""
    lines = [printable(f"{place}{error.message}")]
    if error.hint:
        lines.append(printable(f"  hint: {error.hint}"))
    return lines


def show(error: OrchestraError, *, debug: bool) -> int:
    """Print an error and return its exit code."""
    for line in lines_of(error):
        print(line, file=sys.stderr)
    if debug:
        _trace(error)
    if isinstance(error, StepErrors):
        return error.errors[0].exit_code
    return error.exit_code


@contextmanager
def docker_codes(
    *, debug: bool, unstarted: int = UNSTARTED, otherwise: int | None = None
) -> Iterator[None]:
    """End the program with docker's code when the one process asked for does not start.

    127: not found, 126: cannot be executed, ``unstarted``: anything else, which is 125 for ``run``
    and 126 for ``exec``. ``otherwise`` is the code where its container, or what that needs, cannot
    be had; None leaves such errors.

    :raises Exit: with that code, the error having been shown.
    """
    try:
        yield
    except StepErrors:
        raise
    except EngineError as err:
        code = getattr(err, "code", otherwise)
        if not isinstance(code, int):
            raise
        show(err, debug=debug)
        raise Exit(unstarted if code == UNSTARTED else code) from err


def _trace(error: Exception) -> None:
    import traceback

    traceback.print_exception(error)


def show_bug(error: Exception, *, debug: bool) -> int:
    """Print what should not have happened, and return the code for it."""
    text = printable(f"{type(error).__name__}: {error}")
    print(f"orchestra failed in a way it should not: {text}", file=sys.stderr)
    print("  hint: run it again with --debug and report what it prints", file=sys.stderr)
    if debug:
        _trace(error)
    return BugError.exit_code


def refused(command: str, option: str) -> str:
    """Return why an option of docker's is not offered; "" where there is no such one."""
    from orchestra.cli.refused import REFUSED

    return REFUSED.get(command, {}).get(option, "")


def show_usage(error: Exception) -> int:
    """Print what is wrong with the command line, as one clause with a hint."""
    message = str(getattr(error, "message", "") or error).rstrip(".")
    context = getattr(error, "ctx", None)
    command = getattr(context, "command_path", "orchestra")
    print(printable(message[:1].lower() + message[1:]), file=sys.stderr)
    why = refused(command, str(getattr(error, "option_name", "")))
    if why:
        print(f"  it is docker's, and not offered here: {why}", file=sys.stderr)
    print(f"  hint: see `{command} --help`", file=sys.stderr)
    return UsageError.exit_code
