"""``orchestra image tag``: one more name for an image."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context
from orchestra.cli.session import Session


def command(
    ctx: Context,
    source: Annotated[str, Argument(metavar="SOURCE_IMAGE[:TAG]")],
    target: Annotated[str, Argument(metavar="TARGET_IMAGE[:TAG]")],
) -> None:
    """Name an image."""
    Session.of(ctx).machine.library.tag(source, target)
