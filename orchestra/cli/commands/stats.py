"""``orchestra stats``: what containers use, now and on."""

from __future__ import annotations

import sys

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    service: Annotated[str | None, Argument(metavar="[SERVICE]")] = None,
    everything: Annotated[
        bool, Option("--all", "-a", help="Show all containers, not only running ones")
    ] = False,
    output_format: Annotated[
        str, Option("--format", help="Format the output: table, json or a Go template")
    ] = "",
    no_stream: Annotated[bool, Option("--no-stream", help="Print the first result only")] = False,
    no_trunc: Annotated[bool, Option("--no-trunc", help="Don't truncate output")] = False,
) -> None:
    """Print a table a second, one over the other on a terminal."""
    import time
    from datetime import timedelta

    import anyio

    from orchestra.cli.render.gotemplate import print_formatted
    from orchestra.cli.render.stats import HEADER, stats_row
    from orchestra.cli.session import select
    from orchestra.engine.target import ContainerUsage
    from orchestra.planner.observed import LIVE

    session = Session.of(ctx)
    project = session.project_name
    services = (service,) if service else ()
    clear = "\x1b[H\x1b[J" if sys.stdout.isatty() and not no_stream else ""

    def read() -> dict[str, ContainerUsage | None]:
        return {
            each.id: session.machine.access.usage(project, each.id)
            for each in session.machine.containers(project).containers
        }

    async def main() -> None:
        before, then = read(), time.monotonic()
        while True:
            await anyio.sleep(1)
            observed = session.machine.containers(project)
            chosen = select(session, observed, services, one_off=True)
            usage, now = read(), time.monotonic()
            rows = [
                stats_row(
                    each,
                    before.get(each.id),
                    usage.get(each.id),
                    timedelta(seconds=now - then),
                    whole=no_trunc,
                )
                for each in chosen
                if everything or each.phase in LIVE
            ]
            sys.stdout.write(clear)
            print_formatted(output_format, HEADER, rows)
            sys.stdout.flush()
            if no_stream:
                return
            before, then = usage, now

    session.run(main)
