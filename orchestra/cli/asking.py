"""Ask before something is removed for good."""

from __future__ import annotations

import sys

from orchestra.cli.declare import Exit
from orchestra.errors import UsageError


def confirm(warning: str, *, force: bool) -> None:
    """Ask on the terminal whether to go on; ``force`` answers beforehand.

    :raises UsageError: when there is no terminal to ask at.
    :raises Exit: when the answer is no.
    """
    if force:
        return
    sys.stderr.write(f"WARNING! {warning}\n")
    if not sys.stdin.isatty():
        raise UsageError(
            "there is no terminal to ask at", hint="run it with --force if that is meant"
        )
    sys.stderr.write("Are you sure you want to continue? [y/N] ")
    sys.stderr.flush()
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise Exit(1)
