"""``orchestra volumes``: the project's volumes on this machine."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICE]...")] = None,
    output_format: Annotated[
        str, Option("--format", help="Format the output: table, json or a Go template")
    ] = "table",
    quiet: Annotated[bool, Option("--quiet", "-q", help="Only display volume names")] = False,
) -> None:
    """Print a row a volume: all of the project's, or those that the services' containers have."""
    from orchestra.cli.render.gotemplate import print_formatted
    from orchestra.cli.session import select

    session = Session.of(ctx)
    project = session.project_name
    used: set[str] | None = None
    if services:
        observed = session.machine.containers(project)
        chosen = {each.id for each in select(session, observed, services, one_off=True)}
        records = session.machine.store.containers(project)
        used = {use.volume for record in records if record.id in chosen for use in record.volumes}
    volumes = [
        volume
        for volume in session.machine.store.volumes(project)
        if (volume.name in used if used is not None else volume.project == project)
    ]
    if quiet:
        for volume in volumes:
            print(volume.name)
        return
    root = session.machine.paths.volumes
    rows = [
        {
            "Driver": volume.spec.driver or "local",
            "Labels": ",".join(f"{key}={text}" for key, text in sorted(volume.spec.labels.items())),
            "Links": "N/A",
            "Mountpoint": str(root / volume.name / "_data"),
            "Name": volume.name,
            "Scope": "local",
            "Size": "N/A",
        }
        for volume in volumes
    ]
    print_formatted(output_format, {"Driver": "DRIVER", "Name": "VOLUME NAME"}, rows)
