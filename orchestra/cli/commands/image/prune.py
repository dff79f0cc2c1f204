"""``orchestra image prune``: remove images that nothing uses."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    everything: Annotated[
        bool, Option("--all", "-a", help="Remove all unused images, not just dangling ones")
    ] = False,
    filters: Annotated[
        list[str] | None,
        Option("--filter", help="Filter what to remove: label, label!, until"),
    ] = None,
    force: Annotated[bool, Option("--force", "-f", help="Do not prompt for confirmation")] = False,
) -> None:
    """Ask, remove, and tell what was removed."""
    from orchestra.cli.asking import confirm
    from orchestra.cli.filters import parse_filters
    from orchestra.cli.render.pruned import show_pruned
    from orchestra.values import replace

    wanted = parse_filters(filters or (), pruning=True)
    everything = everything or wanted.dangling is False
    kind = (
        "images without at least one container associated to them"
        if everything
        else ("dangling images")
    )
    confirm(f"This will remove all {kind}.", force=force)
    session = Session.of(ctx)
    chosen = replace(wanted, dangling=None)
    library = session.machine.library
    show_pruned(session.run(lambda: library.prune(chosen, everything=everything)))
