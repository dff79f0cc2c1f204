"""``orchestra config``: the project as it is understood."""

from __future__ import annotations

import sys
from pathlib import Path

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICE]...")] = None,
    output_format: Annotated[
        str | None,
        Option("--format", help="Format the output: yaml or json (--variables: table)"),
    ] = None,
    list_services: Annotated[
        bool, Option("--services", help="Print the service names, one per line")
    ] = False,
    volumes: Annotated[
        bool, Option("--volumes", help="Print the volume names, one per line")
    ] = False,
    networks: Annotated[
        bool, Option("--networks", help="Print the network names, one per line")
    ] = False,
    images: Annotated[bool, Option("--images", help="Print the image names, one per line")] = False,
    models: Annotated[bool, Option("--models", help="Print the model names, one per line")] = False,
    profiles: Annotated[
        bool, Option("--profiles", help="Print the profile names, one per line")
    ] = False,
    hashes: Annotated[
        str | None,
        Option("--hash", help='Print hashes of services, "web,db" or "*" (not docker\'s)'),
    ] = None,
    environment: Annotated[
        bool, Option("--environment", help="Print environment used for interpolation")
    ] = False,
    explain: Annotated[
        str | None,
        Option("--explain", metavar="KEY", help="Say which file, line and rule gave a value"),
    ] = None,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Only validate the configuration")] = False,
    output: Annotated[
        str | None, Option("--output", "-o", help="Save to file (default to stdout)")
    ] = None,
    variables: Annotated[
        bool, Option("--variables", help="Print model variables and default values")
    ] = False,
    no_interpolate: Annotated[
        bool, Option("--no-interpolate", help="Don't interpolate environment variables")
    ] = False,
    no_normalize: Annotated[
        bool, Option("--no-normalize", help="Don't normalize the model")
    ] = False,
    no_path_resolution: Annotated[
        bool, Option("--no-path-resolution", help="Don't resolve file paths")
    ] = False,
    no_consistency: Annotated[
        bool,
        Option("--no-consistency", help="Don't check consistency; may print what is invalid"),
    ] = False,
    no_env_resolution: Annotated[
        bool, Option("--no-env-resolution", help="Don't resolve service env files")
    ] = False,
    resolve_image_digests: Annotated[
        bool, Option("--resolve-image-digests", help="Pin image tags to digests")
    ] = False,
    lock_image_digests: Annotated[
        bool, Option("--lock-image-digests", help="Print an override file with image digests")
    ] = False,
) -> None:
    """Print the resolved project, or one list of its names."""
    from orchestra.cli.configuration import ConfigRequest, text_of
    from orchestra.cli.options import check_choice
    from orchestra.spec.phases import Phases

    if output_format is not None:
        choices = ("table", "json", "yaml") if variables else ("yaml", "json")
        check_choice("--format", output_format, choices)
    asked = {
        "explain": explain is not None,
        "services": list_services,
        "volumes": volumes,
        "networks": networks,
        "models": models,
        "hash": bool(hashes),
        "profiles": profiles,
        "images": images,
        "variables": variables,
        "environment": environment,
    }
    request = ConfigRequest(
        services=tuple(services or ()),
        phases=Phases(
            interpolate=not no_interpolate,
            normalize=not no_normalize,
            resolve_paths=not no_path_resolution,
            consistency=not no_consistency,
            resolve_environment=not no_env_resolution,
        ),
        kind=next((kind for kind, given in asked.items() if given), None),
        argument=hashes if explain is None else explain,
        output_format=output_format,
        quiet=quiet,
        resolve_digests=resolve_image_digests or lock_image_digests,
        lock_digests=lock_image_digests,
    )
    text = text_of(Session.of(ctx), request)
    if quiet:
        return
    if output:
        Path(output).write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
