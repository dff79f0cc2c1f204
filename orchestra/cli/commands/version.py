"""``orchestra version``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from orchestra.cli.version import VERSION


def command(
    output_format: Annotated[
        str, typer.Option("--format", "-f", help="Format the output: pretty or json")
    ] = "pretty",
    short: Annotated[bool, typer.Option("--short", help="Show only the version number")] = False,
) -> None:
    """Print the version."""
    if short:
        print(VERSION)
    elif output_format == "json":
        print(json.dumps({"version": f"v{VERSION}"}))
    else:
        print(f"Orchestra version v{VERSION}")
