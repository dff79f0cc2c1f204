"""``orchestra rm``: remove stopped containers."""

from __future__ import annotations

import sys

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICE]...")] = None,
    force: Annotated[bool, Option("--force", "-f", help="Don't ask to confirm")] = False,
    stop: Annotated[
        bool, Option("--stop", "-s", help="Stop the containers before removing")
    ] = False,
    volumes: Annotated[
        bool, Option("--volumes", "-v", help="Remove anonymous volumes as well")
    ] = False,
) -> None:
    """Carry out the plan of ``rm``, having asked."""
    from orchestra.cli.lifecycle import change_project
    from orchestra.cli.render.terminal import printable
    from orchestra.errors import UsageError
    from orchestra.planner.observed import ObservedState
    from orchestra.planner.options import RemoveOptions
    from orchestra.planner.plan import Plan
    from orchestra.planner.steps import RemoveContainer, Step
    from orchestra.planner.teardown import plan_rm

    options = RemoveOptions(services=tuple(services or ()), stop=stop, volumes=volumes)

    def decide(observed: ObservedState) -> Plan[Step]:
        plan = plan_rm(observed, options)
        names = [step.name for step in plan.steps if isinstance(step, RemoveContainer)]
        if not names:
            print("No stopped containers", file=sys.stderr)
        elif not force:
            if not sys.stdin.isatty():
                raise UsageError("there is no terminal to ask at", hint="run it with --force")
            print(f"Going to remove {', '.join(map(printable, names))}", file=sys.stderr)
            print("Are you sure? [yN] ", end="", file=sys.stderr, flush=True)
            if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
                return Plan.of(())
        return plan

    change_project(Session.of(ctx), options.services, decide)
