"""``orchestra export``: a container's root file system as a tar archive."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session, note


def command(
    ctx: Context,
    service: Annotated[str, Argument(metavar="SERVICE")],
    index: Annotated[
        int, Option("--index", help="Index of the container if there are several")
    ] = 0,
    output: Annotated[
        str, Option("--output", "-o", help="Write to a file, instead of STDOUT")
    ] = "",
) -> None:
    """Write the files of the image and what was changed, without volumes."""
    from orchestra.cli.archives import target_of, written_whole
    from orchestra.cli.choosing import choose

    target = target_of(output)
    session = Session.of(ctx)

    async def main() -> None:
        observed = session.machine.containers(session.project_name)
        container = choose(observed, service, index=index, everything=True)[0]
        with written_whole(target) as fd:
            await session.machine.access.export(observed.project, container.id, fd)
        if target is not None:
            note(f" {container.name}  Exported to {target}")

    session.run(main)
