"""``orchestra builder prune``: remove what builds remember."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    everything: Annotated[
        bool, Option("--all", "-a", help="Remove all unused build cache, not just dangling ones")
    ] = False,
    filters: Annotated[
        list[str] | None, Option("--filter", help="Filter what to remove: until (until=24h)")
    ] = None,
    force: Annotated[bool, Option("--force", "-f", help="Do not prompt for confirmation")] = False,
) -> None:
    """Ask; then remove steps of no image (with -a all), cache mounts, and the history of builds."""
    from orchestra.cli.asking import confirm
    from orchestra.cli.moments import parse_moment
    from orchestra.cli.render.tables import size_text
    from orchestra.cli.session import note
    from orchestra.errors import UsageError

    until = None
    for text in filters or ():
        key, equals, value = text.partition("=")
        if key != "until" or not equals or until is not None:
            raise UsageError(f'invalid filter "{text}"', hint="use one --filter until=TIME")
        until = parse_moment(value)
    kind = "all build cache" if everything else "all dangling build cache"
    confirm(f"This will remove {kind}.", force=force)
    session = Session.of(ctx)
    library = session.machine.library
    pruned = session.run(lambda: library.prune_builds(everything=everything, until=until))
    if pruned.busy:
        note("warning: images are being pulled or built just now; nothing was removed")
    if pruned.steps:
        print("\n".join(["Deleted build cache objects:", *pruned.steps, ""]))
    print(f"Total reclaimed space: {size_text(pruned.bytes)}")
