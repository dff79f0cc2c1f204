"""``orchestra wait``: until containers have ended."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Exit, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    services: Annotated[list[str], Argument(metavar="SERVICE [SERVICE]...")],
    down_project: Annotated[
        bool, Option("--down-project", help="Drops project when the first container stops")
    ] = False,
) -> None:
    """Say how each container of the services ended; the exit code is that of the last to end."""
    import anyio

    from orchestra.cli.downward import take_down
    from orchestra.cli.session import select
    from orchestra.errors import UsageError
    from orchestra.planner.options import DownOptions

    session = Session.of(ctx)
    project = session.project_name
    chosen = select(session, session.machine.containers(project), services, one_off=True)
    if not chosen:
        raise UsageError(f'no containers in project "{project}" to wait for')
    codes: list[int] = []

    async def main() -> None:
        async with anyio.create_task_group() as tasks:

            async def follow(container_id: str) -> None:
                code = await session.machine.wait(project, container_id)
                print(f'container "{container_id}" exited with status code {code}', flush=True)
                codes.append(code)
                if down_project:
                    tasks.cancel_scope.cancel()

            for container in chosen:
                tasks.start_soon(follow, container.id)
        if down_project:
            await take_down(session, DownOptions())

    session.run(main)
    raise Exit(codes[-1])
