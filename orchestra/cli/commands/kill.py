"""``orchestra kill``: send a signal to containers, SIGKILL unless told."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICE]...")] = None,
    signal: Annotated[str, Option("--signal", "-s", help="Signal to send")] = "SIGKILL",
) -> None:
    """Send the signal to every running container of the services."""
    import anyio

    from orchestra.cli.session import select
    from orchestra.planner.observed import LIVE

    session = Session.of(ctx)

    async def main() -> None:
        controller = session.controller()
        observed = await controller.observe()
        async with anyio.create_task_group() as tasks:
            for container in select(session, observed, services or ()):
                if container.phase in LIVE:
                    tasks.start_soon(session.machine.kill, controller.project, container.id, signal)

    session.run(main)
