"""``orchestra build``: build the images of services that have a build section."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session
from orchestra.errors import UsageError


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
    tag: Annotated[
        str | None, Option("--tag", "-t", metavar="NAME", help="Name what is built of stdin")
    ] = None,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Suppress the build output")] = False,
) -> None:
    """Build, independent images side by side; "-" is a Dockerfile or a tarball from stdin."""
    from dataclasses import replace

    from orchestra.cli.building import STDIN, build_stdin, check_builds
    from orchestra.cli.render.progress import progress
    from orchestra.cli.transact import changed_builds, parse_build_args, parse_ssh, references_of
    from orchestra.planner.building import BuildSpec
    from orchestra.planner.options import UpOptions
    from orchestra.planner.reconcile import plan_images

    session = Session.of(ctx)
    arguments = parse_build_args(build_args or (), session.environment)
    agents = dict(parse_ssh(text) for text in ssh or ())
    if quiet:
        session.options = replace(session.options, progress="quiet")

    async def main() -> None:
        if services == [STDIN]:
            spec = BuildSpec(context=STDIN, dockerfile="Dockerfile", args=arguments, ssh=agents)
            spec = replace(spec, no_cache=no_cache, pull=pull)
            return await build_stdin(session, spec, tag, check=check)
        if tag is not None:
            raise UsageError('--tag is for "build -"', hint="name a service's image by `image`")
        desired = changed_builds(
            session.desired(services or ()),
            args=arguments,
            no_cache=no_cache,
            pull=pull,
            ssh=agents,
        )
        if check:
            return await check_builds(session, desired, services or ())
        controller = session.controller(desired.project)
        options = UpOptions(services=tuple(services or ()), build=True, only_build=True)
        async with progress(controller.bus, session.options), controller.transaction() as change:
            await change.run(
                lambda observed: plan_images(desired, observed, options),
                references=references_of(desired),
            )
        return None

    session.run(main)
