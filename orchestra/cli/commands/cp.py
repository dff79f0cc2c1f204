"""``orchestra cp``: copy files between a service's containers and this machine."""

from __future__ import annotations

import sys

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session, note
from orchestra.errors import UsageError


def command(
    ctx: Context,
    source: Annotated[str, Argument(metavar="[SERVICE:]SRC_PATH|-")],
    destination: Annotated[str, Argument(metavar="[SERVICE:]DEST_PATH|-")],
    everything: Annotated[
        bool, Option("--all", help="Include containers created by the run command")
    ] = False,
    archive: Annotated[
        bool, Option("--archive", "-a", help="Archive mode (copy all uid/gid information)")
    ] = False,
    follow_link: Annotated[
        bool, Option("--follow-link", "-L", help="Always follow symbol link in SRC_PATH")
    ] = False,
    index: Annotated[
        int, Option("--index", help="Index of the container if there are several")
    ] = 0,
) -> None:
    """Copy from the service's first container, or into every one of them."""
    from pathlib import Path

    from orchestra.cli.choosing import choose
    from orchestra.engine.target import Copy

    service, outwards, paths = parse(source, destination)
    if outwards and paths[1] is None and sys.stdout.isatty():
        raise UsageError("refusing to write an archive to a terminal", hint="redirect it to a file")
    session = Session.of(ctx)

    async def main() -> None:
        observed = session.machine.containers(session.project_name)
        chosen = choose(observed, service, index=index, everything=everything)
        if outwards:
            chosen = chosen[:1]
        elif paths[0] is None and len(chosen) > 1:
            raise UsageError(
                f'service "{service}" has {len(chosen)} containers, and there is one archive',
                hint="choose one with --index",
            )
        access = session.machine.access
        copy = Copy(
            source=paths[0],
            target=paths[1],
            directory=str(Path.cwd()),
            follow=follow_link,
            archive=archive,
        )
        for container in chosen:
            act = access.copy_from if outwards else access.copy_to
            await act(observed.project, container.id, copy)
            there = f"{container.name}:{paths[0] if outwards else paths[1]}"
            ends = (there, paths[1] or "-") if outwards else (paths[0] or "-", there)
            note(f" {container.name}  Copied {ends[0]} to {ends[1]}")

    session.run(main)


def parse(source: str, destination: str) -> tuple[str, bool, tuple[str | None, str | None]]:
    """Return the service, whether to copy out of it, and both paths; None for ``-``.

    :raises UsageError: when not exactly one side is a service's.
    """
    if not source or not destination:
        raise UsageError(f"{'destination' if source else 'source'} can not be empty")
    (left, from_path), (right, to_path) = split(source), split(destination)
    if left and right:
        raise UsageError(
            "copying between services is not supported", hint="copy to this machine first"
        )
    if left:
        return left, True, (from_path, None if to_path == "-" else to_path)
    if right:
        return right, False, (None if from_path == "-" else from_path, to_path)
    raise UsageError(
        "unknown copy direction", hint="write one side as SERVICE:PATH, a path as ./NAME"
    )


def split(argument: str) -> tuple[str, str]:
    """Split SERVICE:PATH; what begins with a slash or a dot is a path of this machine."""
    service, colon, path = argument.partition(":")
    if argument.startswith("/") or not colon or service.startswith("."):
        return "", argument
    return service, path
