"""``orchestra start``: start containers that exist, in the order of their dependencies."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context
from orchestra.cli.session import Session


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICE]...")] = None,
) -> None:
    """Carry out the plan of ``start``."""
    from orchestra.cli.lifecycle import change_project
    from orchestra.planner.options import StopOptions
    from orchestra.planner.teardown import plan_start

    options = StopOptions(services=tuple(services or ()))
    change_project(Session.of(ctx), options.services, lambda o: plan_start(o, options))
