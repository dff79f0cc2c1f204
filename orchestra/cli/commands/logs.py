"""``orchestra logs``: output of the containers, past and coming."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICE]...")] = None,
    follow: Annotated[bool, Option("--follow", "-f", help="Follow log output")] = False,
    tail: Annotated[
        str, Option("--tail", "-n", help="Number of lines to show from the end")
    ] = "all",
    since: Annotated[
        str | None, Option("--since", help="Show logs since a timestamp or duration (42m)")
    ] = None,
    until: Annotated[
        str | None, Option("--until", help="Show logs before a timestamp or duration (42m)")
    ] = None,
    timestamps: Annotated[bool, Option("--timestamps", "-t", help="Show timestamps")] = False,
    no_color: Annotated[bool, Option("--no-color", help="Monochrome output")] = False,
    index: Annotated[
        int, Option("--index", help="Index of the container if there are several")
    ] = 0,
    no_log_prefix: Annotated[
        bool, Option("--no-log-prefix", help="Don't print prefix in logs")
    ] = False,
) -> None:
    """Print logs, merged by time; with --follow until everything has ended."""
    import anyio

    from orchestra.cli.moments import parse_moment, parse_tail
    from orchestra.cli.render.logs import LogPrinter
    from orchestra.cli.session import select
    from orchestra.engine.events import LogLine
    from orchestra.errors import UsageError
    from orchestra.planner.observed import ObservedContainer

    if index and len(services or ()) != 1:
        raise UsageError("--index needs one service", hint="name the service")
    session = Session.of(ctx)
    project = session.project_name
    count = parse_tail(tail)
    after, before = parse_moment(since), parse_moment(until)

    async def main() -> None:
        scope = anyio.CancelScope()
        session.on_interrupt(scope.cancel)
        observed = session.machine.containers(project)
        chosen = tuple(
            container
            for container in select(session, observed, services or ())
            if not index or container.number == index
        )
        printer = LogPrinter(
            [container.name for container in chosen],
            ansi=session.options.ansi,
            colour=not no_color,
            prefix=not no_log_prefix,
            timestamps=timestamps,
            merge=True,
            project=project,
        )

        async def read(container: ObservedContainer, into: list[LogLine]) -> None:
            lines = session.machine.access.logs(
                project, container, follow=follow, tail=count, since=after, until=before
            )
            async for line in lines:
                if follow:
                    printer.print(line)
                else:
                    into.append(line)

        collected: list[list[LogLine]] = [[] for _ in chosen]
        with scope:
            async with anyio.create_task_group() as tasks:
                for container, into in zip(chosen, collected, strict=True):
                    tasks.start_soon(read, container, into)
        merged = sorted(
            (line for lines in collected for line in lines),
            key=lambda line: line.time.timestamp() if line.time else 0.0,
        )
        for line in merged:
            printer.print(line)

    session.run(main)
