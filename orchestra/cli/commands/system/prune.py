"""``orchestra system prune``: remove what nothing uses."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    everything: Annotated[
        bool,
        Option("--all", "-a", help="Remove all unused images and the build cache, too"),
    ] = False,
    filters: Annotated[
        list[str] | None,
        Option("--filter", help="Filter which images to remove: label, label!, until"),
    ] = None,
    force: Annotated[bool, Option("--force", "-f", help="Do not prompt for confirmation")] = False,
    volumes: Annotated[bool, Option("--volumes", help="Prune anonymous volumes")] = False,
) -> None:
    """Ask, then remove stopped containers, unused networks and images, in this order."""
    from orchestra.cli.asking import confirm
    from orchestra.cli.filters import parse_filters
    from orchestra.cli.render.pruned import show_pruned
    from orchestra.cli.render.tables import size_text
    from orchestra.planner.steps import RemoveContainer, RemoveNetwork, RemoveVolume, Step
    from orchestra.planner.tidying import plan_tidying

    wanted = parse_filters(filters or (), pruning=True)
    going = [
        "all stopped containers",
        "all networks not used by at least one container",
        *(["all anonymous volumes not used by at least one container"] if volumes else []),
        "all images without at least one container associated to them, and all build cache"
        if everything
        else "all dangling images",
    ]
    confirm("This will remove:\n" + "".join(f"  - {line}\n" for line in going), force=force)
    session = Session.of(ctx)
    library = session.machine.library

    async def main() -> int:
        steps: list[Step] = []
        for project in session.machine.projects():
            async with session.controller(project).transaction() as change:
                plan = await change.run(lambda seen: plan_tidying(seen, volumes=volumes))
                steps += plan.steps
        for title, kind in (
            ("Containers", RemoveContainer),
            ("Networks", RemoveNetwork),
            ("Volumes", RemoveVolume),
        ):
            names = [getattr(step, "name") for step in steps if isinstance(step, kind)]  # noqa: B009
            if names:
                print("\n".join([f"Deleted {title}:", *names, ""]))
        pruned = await library.prune(wanted, everything=everything, cache=everything)
        show_pruned(pruned, total=False)
        return pruned.bytes

    print(f"Total reclaimed space: {size_text(session.run(main))}")
