"""``orchestra down``: stop and remove what the project left on this machine."""

from __future__ import annotations

from datetime import timedelta

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICES]")] = None,
    volumes: Annotated[
        bool,
        Option("--volumes", "-v", help="Remove named volumes and anonymous ones as well"),
    ] = False,
    remove_orphans: Annotated[
        bool,
        Option("--remove-orphans", help="Remove containers of services not in the file"),
    ] = False,
    rmi: Annotated[
        str, Option("--rmi", help='Remove images used by services: "local" or "all"')
    ] = "none",
    timeout: Annotated[
        int | None, Option("--timeout", "-t", help="Shutdown timeout in seconds")
    ] = None,
) -> None:
    """Carry out the plan of ``down``; needs no Compose file when ``-p`` names the project."""
    from orchestra.cli.downward import take_down
    from orchestra.errors import UsageError
    from orchestra.planner.options import DownOptions, RemoveImages

    if rmi not in set(RemoveImages):
        raise UsageError(f'"{rmi}" is no value of --rmi', hint='use "local" or "all"')
    options = DownOptions(
        services=tuple(services or ()),
        volumes=volumes,
        remove_orphans=remove_orphans,
        rmi=RemoveImages(rmi),
        timeout=None if timeout is None else timedelta(seconds=timeout),
    )
    session = Session.of(ctx)
    session.run(lambda: take_down(session, options))
