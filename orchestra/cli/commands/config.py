"""``orchestra config``: the project as it is understood."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestra.cli.session import Session


def command(
    ctx: typer.Context,
    services: Annotated[list[str] | None, typer.Argument(metavar="[SERVICE]...")] = None,
    output_format: Annotated[
        str, typer.Option("--format", help="Format the output: yaml or json")
    ] = "yaml",
    list_services: Annotated[
        bool, typer.Option("--services", help="Print the service names, one per line")
    ] = False,
    volumes: Annotated[
        bool, typer.Option("--volumes", help="Print the volume names, one per line")
    ] = False,
    networks: Annotated[
        bool, typer.Option("--networks", help="Print the network names, one per line")
    ] = False,
    images: Annotated[
        bool, typer.Option("--images", help="Print the image names, one per line")
    ] = False,
    profiles: Annotated[
        bool, typer.Option("--profiles", help="Print the profile names, one per line")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only validate the configuration")
    ] = False,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Save to file (default to stdout)")
    ] = None,
) -> None:
    """Print the resolved project, or one list of its names."""
    from orchestra.cli.names import names_of
    from orchestra.spec.loader import render_project

    project = Session.of(ctx).project(services or ())
    if quiet:
        return
    wanted = {
        "services": list_services,
        "volumes": volumes,
        "networks": networks,
        "images": images,
        "profiles": profiles,
    }
    kind = next((name for name, on in wanted.items() if on), None)
    if kind:
        text = "".join(f"{name}\n" for name in names_of(project, kind))
    elif output_format == "json":
        text = json.dumps(render_project(project), indent=2) + "\n"
    else:
        from orchestra.spec.document import dump_yaml

        text = dump_yaml(render_project(project))
    if output:
        Path(output).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
