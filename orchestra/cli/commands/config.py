"""``orchestra config``: the project as it is understood."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from orchestra.cli.session import Session

_REFUSED = "not supported by Orchestra"


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
    hashes: Annotated[
        str | None,
        typer.Option("--hash", help='Print the config hash of services ("web,db", "*" for all)'),
    ] = None,
    environment: Annotated[
        bool, typer.Option("--environment", help="Print environment used for interpolation")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only validate the configuration")
    ] = False,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="Save to file (default to stdout)")
    ] = None,
    models: Annotated[bool, typer.Option("--models", hidden=True, help=_REFUSED)] = False,
    variables: Annotated[bool, typer.Option("--variables", hidden=True, help=_REFUSED)] = False,
    no_interpolate: Annotated[
        bool, typer.Option("--no-interpolate", hidden=True, help=_REFUSED)
    ] = False,
    no_normalize: Annotated[
        bool, typer.Option("--no-normalize", hidden=True, help=_REFUSED)
    ] = False,
    no_path_resolution: Annotated[
        bool, typer.Option("--no-path-resolution", hidden=True, help=_REFUSED)
    ] = False,
    no_consistency: Annotated[
        bool, typer.Option("--no-consistency", hidden=True, help=_REFUSED)
    ] = False,
    no_env_resolution: Annotated[
        bool, typer.Option("--no-env-resolution", hidden=True, help=_REFUSED)
    ] = False,
    resolve_image_digests: Annotated[
        bool, typer.Option("--resolve-image-digests", hidden=True, help=_REFUSED)
    ] = False,
    lock_image_digests: Annotated[
        bool, typer.Option("--lock-image-digests", hidden=True, help=_REFUSED)
    ] = False,
) -> None:
    """Print the resolved project, or one list of its names."""
    from orchestra.cli.names import environment_lines, hash_lines, names_of
    from orchestra.cli.options import check_choice, refuse

    check_choice("--format", output_format, ("yaml", "json"))
    refuse(
        {
            "--models": models,
            "--variables": variables,
            "--no-interpolate": no_interpolate,
            "--no-normalize": no_normalize,
            "--no-path-resolution": no_path_resolution,
            "--no-consistency": no_consistency,
            "--no-env-resolution": no_env_resolution,
            "--resolve-image-digests": resolve_image_digests,
            "--lock-image-digests": lock_image_digests,
        }
    )
    session = Session.of(ctx)
    wanted = {
        "services": list_services,
        "volumes": volumes,
        "networks": networks,
        "images": images,
        "profiles": profiles,
    }
    kind = next((name for name, on in wanted.items() if on), None)
    if environment:
        text = environment_lines(session.load_options(), session.environment, Path.cwd())
    elif hashes is not None:
        text = hash_lines(session.desired(services or ()), hashes)
    elif kind:
        names = names_of(session.project(services or ()), kind)
        text = "".join(f"{name}\n" for name in names)
    elif quiet:
        session.project(services or ())
        return
    else:
        text = _render(session, services or [], output_format)
    if quiet:
        return
    if output:
        Path(output).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)


def _render(session: Session, services: list[str], output_format: str) -> str:
    from orchestra.spec.loader import render_project

    project = session.project(services)
    if output_format == "json":
        import json

        shape = render_project(project, json_shape=True)
        return json.dumps(shape, indent=2, ensure_ascii=False) + "\n"
    from orchestra.spec.document import dump_yaml

    return dump_yaml(render_project(project))
