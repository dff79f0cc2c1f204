"""``orchestra logout``: forget the login of a registry."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context
from orchestra.cli.session import Session


def command(
    ctx: Context,
    server: Annotated[str, Argument(metavar="[SERVER]")] = "",
) -> None:
    """Log out; nothing to forget is no error."""
    session = Session.of(ctx)
    shown = server or "https://index.docker.io/v1/"
    if session.run(lambda: session.registries.log_out(server)):
        print(f"Removing login credentials for {shown}")
    else:
        print(f"Not logged in to {shown}")
