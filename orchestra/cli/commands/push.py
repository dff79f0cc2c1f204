"""``orchestra push``: push the images of services that are built."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICE]...")] = None,
    ignore_push_failures: Annotated[
        bool, Option("--ignore-push-failures", help="Push what it can and ignores failures")
    ] = False,
    include_deps: Annotated[
        bool, Option("--include-deps", help="Also push images of services declared as dependencies")
    ] = False,
    quiet: Annotated[
        bool, Option("--quiet", "-q", help="Push without printing progress information")
    ] = False,
) -> None:
    """Push, side by side."""
    from orchestra.cli.pushing import push_services

    push_services(
        Session.of(ctx),
        services or (),
        quiet=quiet,
        include_deps=include_deps,
        ignore_failures=ignore_push_failures,
    )
