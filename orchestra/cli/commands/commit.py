"""``orchestra commit``: an image of a container's files as they are now."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session, note


def command(
    ctx: Context,
    service: Annotated[str, Argument(metavar="SERVICE")],
    reference: Annotated[str | None, Argument(metavar="[REPOSITORY[:TAG]]")] = None,
    author: Annotated[
        str, Option("--author", "-a", help='Author (e.g., "A. Smith <smith@example.com>")')
    ] = "",
    changes: Annotated[
        list[str] | None,
        Option("--change", "-c", help="Apply Dockerfile instruction to the created image"),
    ] = None,
    index: Annotated[
        int, Option("--index", help="Index of the container if there are several")
    ] = 0,
    message: Annotated[str, Option("--message", "-m", help="Commit message")] = "",
    pause: Annotated[
        bool, Option("--pause/--no-pause", "-p", help="Pause container during commit")
    ] = True,
) -> None:
    """Store the image; its containers run as this one does, but for the changes."""
    from orchestra.cli.choosing import choose
    from orchestra.engine.target import Commit

    session = Session.of(ctx)
    wanted = Commit(
        reference=reference,
        author=author,
        message=message,
        changes=tuple(changes or ()),
        pause=pause,
    )

    async def main() -> None:
        observed = session.machine.containers(session.project_name)
        container = choose(observed, service, index=index, everything=True)[0]
        made = await session.machine.commit(observed.project, container.id, wanted)
        note(f" {container.name}  Committed as {made}")

    session.run(main)
