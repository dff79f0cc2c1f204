"""``orchestra stop``: stop services in reverse order of their dependencies."""

from __future__ import annotations

from datetime import timedelta

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICE]...")] = None,
    timeout: Annotated[
        int | None, Option("--timeout", "-t", help="Shutdown timeout in seconds")
    ] = None,
) -> None:
    """Carry out the plan of ``stop``."""
    from orchestra.cli.lifecycle import change_project
    from orchestra.planner.options import StopOptions
    from orchestra.planner.teardown import plan_stop

    options = StopOptions(
        services=tuple(services or ()),
        timeout=None if timeout is None else timedelta(seconds=timeout),
    )
    change_project(Session.of(ctx), options.services, lambda o: plan_stop(o, options))
