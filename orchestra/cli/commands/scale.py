"""``orchestra scale``: another number of replicas of some services."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    replicas: Annotated[list[str], Argument(metavar="SERVICE=REPLICAS...")],
    no_deps: Annotated[bool, Option("--no-deps", help="Don't start linked services")] = False,
) -> None:
    """Carry out the plan of ``up`` for these services with these numbers."""
    from orchestra.cli.transact import approve_destruction, parse_scale
    from orchestra.cli.upward import bring_up
    from orchestra.planner.options import UpOptions

    scale = parse_scale(replicas, "SERVICE=REPLICAS")
    options = UpOptions(services=tuple(scale), scale=scale, no_deps=no_deps)
    session = Session.of(ctx)

    async def main() -> None:
        desired = session.desired(options.services, scale=scale)
        controller = session.controller(desired.project)
        await bring_up(session, controller, desired, options, approve_destruction(yes=False))

    session.run(main)
