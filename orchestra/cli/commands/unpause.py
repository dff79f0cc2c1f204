"""``orchestra unpause``: see ``pausing``."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context
from orchestra.cli.session import Session


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICE]...")] = None,
) -> None:
    """Let the processes of paused containers go on."""
    from orchestra.cli.pausing import set_paused

    set_paused(Session.of(ctx), services or (), paused=False)
