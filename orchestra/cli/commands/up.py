"""``orchestra up``: create and start what the project asks for."""

from __future__ import annotations

from datetime import timedelta

from orchestra.cli.declare import Annotated, Argument, Context, Exit, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICE]...")] = None,
    detach: Annotated[
        bool, Option("--detach", "-d", help="Detached mode: run containers in the background")
    ] = False,
    wait: Annotated[
        bool, Option("--wait", help="Wait until services are running or healthy; detaches")
    ] = False,
    wait_timeout: Annotated[
        int | None, Option("--wait-timeout", help="How many seconds --wait waits at most")
    ] = None,
    build: Annotated[
        bool, Option("--build", help="Build images before starting containers")
    ] = False,
    no_build: Annotated[
        bool, Option("--no-build", help="Don't build an image, even if it's missing")
    ] = False,
    pull: Annotated[
        str | None,
        Option("--pull", help="Pull image before running: always|missing|never|build|policy"),
    ] = None,
    force_recreate: Annotated[
        bool, Option("--force-recreate", help="Recreate containers even if nothing changed")
    ] = False,
    no_recreate: Annotated[
        bool, Option("--no-recreate", help="If containers already exist, don't recreate them")
    ] = False,
    always_recreate_deps: Annotated[
        bool, Option("--always-recreate-deps", help="Recreate dependent containers")
    ] = False,
    no_deps: Annotated[bool, Option("--no-deps", help="Don't start linked services")] = False,
    no_start: Annotated[
        bool, Option("--no-start", help="Don't start the services after creating them")
    ] = False,
    remove_orphans: Annotated[
        bool,
        Option("--remove-orphans", help="Remove containers of services not in the file"),
    ] = False,
    renew_anon_volumes: Annotated[
        bool, Option("--renew-anon-volumes", "-V", help="Recreate anonymous volumes")
    ] = False,
    scale: Annotated[
        list[str] | None, Option("--scale", help="Scale SERVICE to NUM instances")
    ] = None,
    timeout: Annotated[
        int | None, Option("--timeout", "-t", help="Shutdown timeout in seconds")
    ] = None,
    abort_on_container_exit: Annotated[
        bool,
        Option("--abort-on-container-exit", help="Stop all containers if any stopped"),
    ] = False,
    exit_code_from: Annotated[
        str | None, Option("--exit-code-from", help="Return the exit code of this service")
    ] = None,
    attach: Annotated[
        list[str] | None, Option("--attach", help="Restrict attaching to these services")
    ] = None,
    no_attach: Annotated[
        list[str] | None, Option("--no-attach", help="Do not attach to these services")
    ] = None,
    no_color: Annotated[bool, Option("--no-color", help="Monochrome output")] = False,
    no_log_prefix: Annotated[
        bool, Option("--no-log-prefix", help="Don't print prefix in logs")
    ] = False,
    timestamps: Annotated[bool, Option("--timestamps", help="Show timestamps")] = False,
    quiet_pull: Annotated[
        bool, Option("--quiet-pull", help="Pull without printing progress")
    ] = False,
    yes: Annotated[bool, Option("--yes", "-y", help="Assume yes as answer to all prompts")] = False,
) -> None:
    """Carry out the plan of ``up``, then follow the logs unless detached."""
    from orchestra.cli.settled import settled
    from orchestra.cli.transact import approve_destruction, parse_pull, parse_scale, recreation
    from orchestra.errors import UsageError
    from orchestra.planner.options import UpOptions

    recreate = recreation(force=force_recreate, never=no_recreate, build=build, no_build=no_build)
    watching = abort_on_container_exit or exit_code_from is not None
    if detach and watching:
        raise UsageError("--detach cannot be combined with --abort-on-container-exit")
    session = Session.of(ctx)
    options = UpOptions(
        services=tuple(services or ()),
        recreate=recreate,
        always_recreate_deps=always_recreate_deps,
        no_deps=no_deps,
        no_start=no_start,
        build=build,
        no_build=no_build,
        pull=parse_pull(pull),
        scale=parse_scale(scale or ()),
        remove_orphans=remove_orphans,
        renew_anon_volumes=renew_anon_volumes,
        timeout=None if timeout is None else timedelta(seconds=timeout),
    )

    desired = session.desired(services or (), scale=options.scale)
    if detach and not wait and settled(session, desired, options):
        return

    from orchestra.cli.follow import Attachment, follow_project
    from orchestra.cli.upward import bring_up, wait_for

    async def main() -> int:
        controller = session.controller(desired.project)
        if detach or wait or no_start:
            await bring_up(
                session, controller, desired, options, approve_destruction(yes), quiet_pull
            )
            if wait:
                await wait_for(controller, desired, options, wait_timeout)
            return 0
        attachment = Attachment(
            only=frozenset(attach or ()),
            never=frozenset(no_attach or ()),
            colour=not no_color,
            prefix=not no_log_prefix,
            timestamps=timestamps,
            stop_all=watching,
            code_from=exit_code_from,
        )
        return await follow_project(
            session, controller, desired, options, attachment, approve_destruction(yes)
        )

    raise Exit(session.run(main))
