"""``orchestra unpause``: see ``pausing``."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestra.cli.session import Session


def command(
    ctx: typer.Context,
    services: Annotated[list[str] | None, typer.Argument(metavar="[SERVICE]...")] = None,
) -> None:
    """Let the processes of paused containers go on."""
    from orchestra.cli.pausing import set_paused

    set_paused(Session.of(ctx), services or (), paused=False)
