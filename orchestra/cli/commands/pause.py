"""``orchestra pause``: see ``pausing``."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestra.cli.session import Session


def command(
    ctx: typer.Context,
    services: Annotated[list[str] | None, typer.Argument(metavar="[SERVICE]...")] = None,
) -> None:
    """Stop the processes of running containers where they are."""
    from orchestra.cli.pausing import set_paused

    set_paused(Session.of(ctx), services or (), paused=True)
