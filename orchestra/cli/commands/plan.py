"""``orchestra plan``: what ``up`` would do, and why. Takes no lock and writes nothing."""

from __future__ import annotations

import sys

from orchestra.cli.declare import Annotated, Argument, Context, Exit, Option
from orchestra.cli.session import Session

_CHANGES = 10


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICE]...")] = None,
    output_format: Annotated[
        str, Option("--format", help="Format the output: text or json")
    ] = "text",
    json_output: Annotated[bool, Option("--json", help="The same as --format json")] = False,
    detailed_exitcode: Annotated[
        bool, Option("--detailed-exitcode", help="Exit with 10 when there is something to do")
    ] = False,
    down: Annotated[bool, Option("--down", help="Show what down would do")] = False,
    volumes: Annotated[
        bool, Option("--volumes", "-v", help="With --down: remove volumes too")
    ] = False,
    build: Annotated[bool, Option("--build", help="As `up --build`")] = False,
    force_recreate: Annotated[
        bool, Option("--force-recreate", help="As `up --force-recreate`")
    ] = False,
    remove_orphans: Annotated[
        bool, Option("--remove-orphans", help="As `up --remove-orphans`")
    ] = False,
    scale: Annotated[
        list[str] | None, Option("--scale", help="As `up --scale SERVICE=NUM`")
    ] = None,
) -> None:
    """Print the plan; exit with 10 under --detailed-exitcode when it is not empty."""
    from orchestra.cli.options import check_choice
    from orchestra.cli.render.plan import render_json, render_text
    from orchestra.cli.transact import parse_scale, references_of
    from orchestra.planner.options import DownOptions, Recreate, UpOptions
    from orchestra.planner.plan import Plan
    from orchestra.planner.steps import Step

    check_choice("--format", output_format, ("text", "json"))
    session = Session.of(ctx)

    async def decide() -> Plan[Step]:
        from orchestra.planner.reconcile import plan_images, plan_up
        from orchestra.planner.teardown import plan_down

        if down:
            observed = await session.controller().observe()
            options = DownOptions(
                services=tuple(services or ()), volumes=volumes, remove_orphans=remove_orphans
            )
            return plan_down(observed, options)
        factors = parse_scale(scale or ())
        desired = session.desired(services or (), scale=factors)
        observed = await session.controller(desired.project).observe(references_of(desired))
        up = UpOptions(
            services=tuple(services or ()),
            recreate=Recreate.FORCE if force_recreate else Recreate.DIVERGED,
            build=build,
            remove_orphans=remove_orphans,
            scale=factors,
        )
        first = plan_images(desired, observed, up)
        rest = plan_up(desired, observed, up)
        return Plan.of([*first.steps, *(s for s in rest.steps if s.id not in first.ids)])

    plan = session.run(decide)
    as_json = json_output or output_format == "json"
    sys.stdout.write(render_json(plan) if as_json else render_text(plan))
    if detailed_exitcode and not plan.empty:
        raise Exit(_CHANGES)
