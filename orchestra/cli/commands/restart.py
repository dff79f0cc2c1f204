"""``orchestra restart``: stop and start containers as they are."""

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
    no_deps: Annotated[bool, Option("--no-deps", help="Don't restart dependent services")] = False,
) -> None:
    """Carry out the plan of ``restart``."""
    from orchestra.cli.lifecycle import change_project
    from orchestra.planner.options import StopOptions
    from orchestra.planner.teardown import plan_restart

    options = StopOptions(
        services=tuple(services or ()),
        timeout=None if timeout is None else timedelta(seconds=timeout),
        no_deps=no_deps,
    )
    change_project(Session.of(ctx), options.services, lambda o: plan_restart(o, options))
