"""``orchestra run``: a one-off command in a container of its own."""

from __future__ import annotations

import os
import sys

from orchestra.cli.declare import Annotated, Argument, Context, Exit, Option
from orchestra.cli.options import GlobalOptions
from orchestra.cli.plain import plain_run, variables


def command(
    ctx: Context,
    service: Annotated[str, Argument(metavar="SERVICE")],
    arguments: Annotated[list[str] | None, Argument(metavar="[COMMAND] [ARGS...]")] = None,
    build: Annotated[bool, Option("--build", help="Build image before starting container")] = False,
    cap_add: Annotated[list[str] | None, Option("--cap-add", help="Add Linux capabilities")] = None,
    cap_drop: Annotated[
        list[str] | None, Option("--cap-drop", help="Drop Linux capabilities")
    ] = None,
    detach: Annotated[
        bool,
        Option("--detach", "-d", help="Run container in background and print container ID"),
    ] = False,
    entrypoint: Annotated[
        str | None, Option("--entrypoint", help="Override the entrypoint of the image")
    ] = None,
    environment: Annotated[
        list[str] | None, Option("--env", "-e", help="Set environment variables")
    ] = None,
    env_from_file: Annotated[
        list[str] | None,
        Option("--env-from-file", help="Set environment variables from file"),
    ] = None,
    interactive: Annotated[
        bool, Option("--interactive/--no-interactive", "-i", help="Keep STDIN open")
    ] = True,
    labels: Annotated[
        list[str] | None, Option("--label", "-l", help="Add or override a label")
    ] = None,
    name: Annotated[str | None, Option("--name", help="Assign a name to the container")] = None,
    no_deps: Annotated[bool, Option("--no-deps", help="Don't start linked services")] = False,
    no_tty: Annotated[
        bool, Option("--no-tty", "--no-TTY", "-T", help="Disable pseudo-TTY allocation")
    ] = False,
    publish: Annotated[
        list[str] | None,
        Option("--publish", "-p", help="Publish a container's port(s) to the host"),
    ] = None,
    pull: Annotated[
        str | None,
        Option("--pull", help="Pull image before running: always|missing|never|build|policy"),
    ] = None,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Don't print progress")] = False,
    quiet_build: Annotated[bool, Option("--quiet-build", help="Suppress the build output")] = False,
    quiet_pull: Annotated[
        bool, Option("--quiet-pull", help="Pull without printing progress")
    ] = False,
    remove_orphans: Annotated[
        bool,
        Option("--remove-orphans", help="Remove containers of services not in the file"),
    ] = False,
    remove: Annotated[bool, Option("--rm", help="Remove the container when it exits")] = False,
    service_ports: Annotated[
        bool,
        Option("--service-ports", "-P", help="Publish the service's ports to the host"),
    ] = False,
    tty: Annotated[bool, Option("--tty", "-t", help="Allocate a pseudo-TTY")] = False,
    use_aliases: Annotated[
        bool, Option("--use-aliases", help="Answer to the service's names on its networks")
    ] = False,
    user: Annotated[
        str | None, Option("--user", "-u", help="Run as specified username or uid")
    ] = None,
    volumes: Annotated[
        list[str] | None, Option("--volume", "-v", help="Bind mount a volume")
    ] = None,
    workdir: Annotated[
        str | None, Option("--workdir", "-w", help="Working directory in the container")
    ] = None,
) -> None:
    """Bring up what the service needs, run the command with our streams, exit with its code."""
    slug = os.urandom(32).hex()
    streams = sys.stdin, sys.stdout, sys.stderr
    whole = (
        build, cap_add, cap_drop, detach, entrypoint is not None, env_from_file, labels, publish,
        pull, remove_orphans, service_ports, tty and no_tty, volumes, None in streams,
    )  # fmt: skip
    at_terminal = None not in streams and sys.stdin.isatty() and sys.stdout.isatty()
    terminal = (tty or at_terminal) and not no_tty
    if not any(whole) and (not terminal or (at_terminal and interactive)):
        run = {
            "service": service,
            "slug": slug,
            "command": arguments or (),
            "environment": variables(environment or (), os.environ),
            "name": name,
            "user": user,
            "workdir": workdir,
            "aliases": use_aliases,
            "tty": terminal,
            "stdin": interactive,
        }
        plain_run(ctx.obj or GlobalOptions(), run, no_deps=no_deps, remove=remove)
    from orchestra.cli.oneoff import OneOff
    from orchestra.cli.oneoff_run import Manner, check, environment_of, run_one_off
    from orchestra.cli.render.errors import docker_codes
    from orchestra.cli.session import Session
    from orchestra.cli.transact import parse_pull

    check(
        {"--service-ports": service_ports, "--publish": bool(publish)},
        {"--tty": tty, "--no-tty": no_tty},
        {"--detach": detach, "--rm": remove},
    )
    session = Session.of(ctx)
    wanted = OneOff(
        service=service,
        slug=slug,
        command=tuple(arguments or ()),
        entrypoint=entrypoint,
        environment=environment_of(environment or (), env_from_file or (), session.environment),
        labels=tuple(labels or ()),
        name=name,
        user=user,
        workdir=workdir,
        volumes=tuple(volumes or ()),
        publish=tuple(publish or ()),
        service_ports=service_ports,
        aliases=use_aliases,
        cap_add=tuple(cap_add or ()),
        cap_drop=tuple(cap_drop or ()),
        tty=terminal,
        stdin=interactive and not detach,
    )
    manner = Manner(
        detach=detach,
        remove=remove,
        no_deps=no_deps,
        build=build,
        pull=parse_pull(pull),
        remove_orphans=remove_orphans,
        quiet=quiet,
        quiet_transfers=quiet_pull or quiet_build,
    )
    with docker_codes(debug=session.options.debug, otherwise=125):
        raise Exit(session.run(lambda: run_one_off(session, wanted, manner)))
