"""``orchestra pause``: see ``pausing``."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context
from orchestra.cli.session import Session


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICE]...")] = None,
) -> None:
    """Stop the processes of running containers where they are."""
    from orchestra.cli.pausing import set_paused

    set_paused(Session.of(ctx), services or (), paused=True)
