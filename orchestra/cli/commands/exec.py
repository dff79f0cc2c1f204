"""``orchestra exec``: run a command in a running container."""

from __future__ import annotations

import sys

from orchestra.cli.declare import Annotated, Argument, Context, Exit, Option
from orchestra.cli.options import GlobalOptions
from orchestra.cli.plain import plain_exec, variables


def command(
    ctx: Context,
    service: Annotated[str, Argument(metavar="SERVICE")],
    arguments: Annotated[list[str], Argument(metavar="COMMAND [ARGS...]")],
    detach: Annotated[
        bool, Option("--detach", "-d", help="Run the command in the background")
    ] = False,
    environment: Annotated[
        list[str] | None, Option("--env", "-e", help="Set environment variables")
    ] = None,
    index: Annotated[int, Option("--index", help="Index of the container")] = 0,
    interactive: Annotated[
        bool, Option("--interactive/--no-interactive", "-i", help="Keep STDIN open")
    ] = True,
    no_tty: Annotated[
        bool, Option("--no-tty", "--no-TTY", "-T", help="Disable pseudo-TTY allocation")
    ] = False,
    tty: Annotated[bool, Option("--tty", "-t", help="Allocate a pseudo-TTY")] = False,
    privileged: Annotated[
        bool, Option("--privileged", help="Give extended privileges to the process")
    ] = False,
    user: Annotated[str | None, Option("--user", "-u", help="Run as this user")] = None,
    workdir: Annotated[
        str | None, Option("--workdir", "-w", help="Working directory of this command")
    ] = None,
) -> None:
    """Run the command with our streams, and exit with its code."""
    terminal = (tty or sys.stdin.isatty()) and not no_tty and not detach
    if terminal and not sys.stdin.isatty():
        from orchestra.errors import UsageError

        raise UsageError("the input device is not a TTY", hint="use -T")
    if user is None:
        plain_exec(
            ctx.obj or GlobalOptions(),
            service,
            arguments,
            environment=environment or (),
            index=index,
            cwd=workdir,
            tty=terminal,
            privileged=privileged,
            stdin=interactive,
            detach=detach,
        )
    from orchestra.cli.render.errors import EXEC_UNSTARTED, docker_codes
    from orchestra.cli.session import Session
    from orchestra.cli.transact import check_not_paused, pick_running
    from orchestra.engine.target import ExecCommand

    session = Session.of(ctx)
    with docker_codes(debug=session.options.debug, unstarted=EXEC_UNSTARTED):
        observed = session.machine.containers(session.project_name)
        container = pick_running(observed, service, index)
        check_not_paused(container)
        command_line = ExecCommand(
            arguments=tuple(arguments),
            environment=variables(environment or (), session.environment),
            cwd=workdir,
            user=user,
            tty=terminal,
            privileged=privileged,
            stdin=interactive,
            detach=detach,
        )
        raise Exit(session.machine.access.exec(observed.project, container.id, command_line))
