"""``orchestra create``: make everything that `up` would start."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICE]...")] = None,
    build: Annotated[
        bool, Option("--build", help="Build images before starting containers")
    ] = False,
    force_recreate: Annotated[
        bool, Option("--force-recreate", help="Recreate containers even if nothing changed")
    ] = False,
    no_build: Annotated[
        bool, Option("--no-build", help="Don't build an image, even if it's missing")
    ] = False,
    no_recreate: Annotated[
        bool, Option("--no-recreate", help="If containers already exist, don't recreate them")
    ] = False,
    pull: Annotated[
        str | None, Option("--pull", help="Pull image before running: always|missing|never|build")
    ] = None,
    quiet_pull: Annotated[
        bool, Option("--quiet-pull", help="Pull without printing progress")
    ] = False,
    remove_orphans: Annotated[
        bool,
        Option("--remove-orphans", help="Remove containers of services not in the file"),
    ] = False,
    scale: Annotated[
        list[str] | None, Option("--scale", help="Scale SERVICE to NUM instances")
    ] = None,
    yes: Annotated[bool, Option("--yes", "-y", help="Assume yes as answer to all prompts")] = False,
) -> None:
    """Carry out the plan of ``up`` without its starts."""
    from orchestra.cli.transact import approve_destruction, parse_pull, parse_scale, recreation
    from orchestra.cli.upward import bring_up
    from orchestra.planner.options import UpOptions

    options = UpOptions(
        services=tuple(services or ()),
        recreate=recreation(
            force=force_recreate, never=no_recreate, build=build, no_build=no_build
        ),
        no_start=True,
        build=build or pull == "build",
        no_build=no_build,
        pull=None if pull == "build" else parse_pull(pull),
        scale=parse_scale(scale or ()),
        remove_orphans=remove_orphans,
    )
    session = Session.of(ctx)

    async def main() -> None:
        desired = session.desired(services or (), scale=options.scale)
        controller = session.controller(desired.project)
        await bring_up(session, controller, desired, options, approve_destruction(yes), quiet_pull)

    session.run(main)
