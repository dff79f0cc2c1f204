"""``orchestra build``: build the images of services that have a build section."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from orchestra.cli.declare import Argument, Context, Exit, Option
from orchestra.cli.session import Session

if TYPE_CHECKING:
    from orchestra.planner.desired import DesiredState


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICE]...")] = None,
    build_args: Annotated[
        list[str] | None, Option("--build-arg", help="Set build-time variables")
    ] = None,
    no_cache: Annotated[
        bool, Option("--no-cache", help="Do not use cache when building the image")
    ] = False,
    pull: Annotated[
        bool, Option("--pull", help="Always attempt to pull a newer version of the image")
    ] = False,
    ssh: Annotated[
        list[str] | None,
        Option(
            "--ssh",
            metavar="default|ID[=SOCKET|KEY]",
            help="Forward an ssh agent, or a key, to the steps that ask for it",
        ),
    ] = None,
    check: Annotated[
        bool, Option("--check", help="Check the build configuration, and build nothing")
    ] = False,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Suppress the build output")] = False,
) -> None:
    """Build, independent images side by side."""
    from dataclasses import replace

    from orchestra.cli.render.progress import progress
    from orchestra.cli.render.terminal import tame
    from orchestra.cli.transact import changed_builds, parse_build_args, parse_ssh, references_of
    from orchestra.planner.options import UpOptions
    from orchestra.planner.reconcile import plan_images

    session = Session.of(ctx)
    arguments = parse_build_args(build_args or (), session.environment)
    agents = dict(parse_ssh(text) for text in ssh or ())

    def wanted() -> DesiredState:
        return changed_builds(
            session.desired(services or ()),
            args=arguments,
            no_cache=no_cache,
            pull=pull,
            ssh=agents,
        )

    async def checked() -> None:
        desired, clean = wanted(), True
        for image in desired.images:
            if image.build is None or (services and not {*services} & {*image.services}):
                continue
            found = await session.machine.check_build(desired.project, image.build)
            sys.stdout.write(tame(found.report))
            if found.error is not None:
                raise found.error
            clean = clean and not found.findings
        if not clean:
            raise Exit(1)

    async def main() -> None:
        desired = wanted()
        if quiet:
            session.options = replace(session.options, progress="quiet")
        controller = session.controller(desired.project)
        options = UpOptions(services=tuple(services or ()), build=True, only_build=True)
        async with progress(controller.bus, session.options), controller.transaction() as change:
            await change.run(
                lambda observed: plan_images(desired, observed, options),
                references=references_of(desired),
            )

    session.run(checked if check else main)
