"""``orchestra version``."""

from __future__ import annotations

import json

from orchestra.cli.declare import Annotated, Option
from orchestra.cli.options import check_choice
from orchestra.cli.version import VERSION


def command(
    output_format: Annotated[
        str, Option("--format", "-f", help="Format the output: pretty or json")
    ] = "pretty",
    short: Annotated[bool, Option("--short", help="Show only the version number")] = False,
) -> None:
    """Print the version."""
    check_choice("--format", output_format, ("pretty", "json"))
    if short:
        print(VERSION)
    elif output_format == "json":
        print(json.dumps({"version": f"v{VERSION}"}, separators=(",", ":")))
    else:
        print(f"Orchestra version v{VERSION}")
