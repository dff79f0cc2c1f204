"""Entry of the ``orchestra`` program, and of ``python -m orchestra``."""

from __future__ import annotations

import gc
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    # imports and a project's tree are all kept: searching them for garbage is a tenth of a start;
    # what may last longer than that turns the collector on again (cli/session.py, run)
    gc.disable()
    _leave(answer(sys.argv[1:]))


def answer(arguments: list[str]) -> int:
    """Run one command line and return the exit code."""
    if arguments in (["--version"], ["-v"]):
        from orchestra.cli.version import VERSION  # noqa: PLC0415

        sys.stdout.write(f"Orchestra version v{VERSION}\n")
        return 0
    from orchestra.cli.app import run  # noqa: PLC0415

    return run(arguments)


def _leave(code: int) -> NoReturn:
    """Exit at once: to take every module apart first costs another tenth of a short command."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, AttributeError):  # Python's own exit tells of it; no stream, no attribute
        sys.exit(code)
    os._exit(code)


if __name__ == "__main__":
    main()
