"""Entry of the ``orchestra`` program, and of ``python -m orchestra``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] in (["--version"], ["-v"]):
        from orchestra.cli.version import VERSION  # noqa: PLC0415

        sys.stdout.write(f"Orchestra version v{VERSION}\n")
        return
    from orchestra.cli.app import run  # noqa: PLC0415

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
