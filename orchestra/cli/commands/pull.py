"""``orchestra pull``: fetch the images of services."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICE]...")] = None,
    policy: Annotated[
        str | None, Option("--policy", help='Apply pull policy: "missing" or "always"')
    ] = None,
    include_deps: Annotated[
        bool, Option("--include-deps", help="Also pull services declared as dependencies")
    ] = False,
    ignore_buildable: Annotated[
        bool, Option("--ignore-buildable", help="Ignore images that can be built")
    ] = False,
    ignore_pull_failures: Annotated[
        bool, Option("--ignore-pull-failures", help="Pull what it can and ignore failures")
    ] = False,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Pull without printing")] = False,
) -> None:
    """Pull, side by side."""
    from dataclasses import replace

    from orchestra.cli.render.errors import lines_of
    from orchestra.cli.render.progress import progress
    from orchestra.cli.session import note
    from orchestra.cli.transact import images_to_pull, references_of
    from orchestra.errors import OrchestraError, UsageError
    from orchestra.planner.plan import Plan
    from orchestra.planner.resources import pull_asked
    from orchestra.planner.steps import PullImage

    if policy not in {None, "missing", "always"}:
        raise UsageError(f'"{policy}" is no value of --policy', hint='use "missing" or "always"')
    session = Session.of(ctx)

    async def main() -> None:
        desired = session.desired(services or ())
        if quiet:
            session.options = replace(session.options, progress="quiet")
        controller = session.controller(desired.project)
        images = images_to_pull(
            desired, services or (), include_deps=include_deps, buildable=not ignore_buildable
        )
        async with progress(controller.bus, session.options), controller.transaction() as change:
            try:
                await change.run(
                    lambda observed: Plan.of(
                        PullImage(image=image, reason=reason)
                        for image in images
                        if (reason := pull_asked(image, observed.image(image.reference), policy))
                    ),
                    references=references_of(desired),
                )
            except OrchestraError as err:
                if not ignore_pull_failures:
                    raise
                for line in lines_of(err):
                    note(line)

    session.run(main)
