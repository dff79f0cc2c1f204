"""``orchestra images``: the images that the project's containers were made from."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICE]...")] = None,
    output_format: Annotated[
        str, Option("--format", help="Format the output: table or json")
    ] = "table",
    quiet: Annotated[bool, Option("--quiet", "-q", help="Only display IDs")] = False,
) -> None:
    """Print one row a container."""
    import json

    from orchestra.cli.options import check_choice
    from orchestra.cli.render.tables import ago, moment_text, print_table, size_text
    from orchestra.cli.session import select

    check_choice("--format", output_format, ("table", "json"))
    session = Session.of(ctx)
    observed = session.machine.containers(session.project_name)
    rows = []
    for container in select(session, observed, services or (), one_off=True):
        image = session.machine.library.image_of(container)
        short = container.image_id.removeprefix("sha256:")[:12]
        rows.append((container.name, image.repository, image.tag, image.platform, short, image))
    rows.sort(key=lambda row: row[0])
    if quiet:
        for identity in dict.fromkeys(row[5].id for row in rows):
            print(identity.removeprefix("sha256:"))
    elif output_format == "json":
        documents = [
            {
                "ID": row[5].id,
                "ContainerName": row[0],
                "Repository": row[1],
                "Tag": row[2],
                "Platform": row[3],
                "Size": row[5].size_bytes,
                **({"Created": moment_text(row[5].created)} if row[5].created else {}),
            }
            for row in rows
        ]
        print(json.dumps(documents))
    else:
        header = ("CONTAINER", "REPOSITORY", "TAG", "PLATFORM", "IMAGE ID", "SIZE", "CREATED")
        print_table(
            header,
            (
                (
                    *row[:5],
                    size_text(row[5].size_bytes),
                    f"{ago(row[5].created)} ago" if row[5].created else "N/A",
                )
                for row in rows
            ),
        )
