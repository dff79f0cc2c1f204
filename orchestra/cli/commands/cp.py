"""``orchestra cp``: copy files between a service's containers and this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from orchestra.cli.session import Session, note
from orchestra.errors import UsageError

if TYPE_CHECKING:
    from orchestra.planner.observed import ObservedContainer, ObservedState


def command(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="[SERVICE:]SRC_PATH|-")],
    destination: Annotated[str, typer.Argument(metavar="[SERVICE:]DEST_PATH|-")],
    everything: Annotated[
        bool, typer.Option("--all", help="Include containers created by the run command")
    ] = False,
    archive: Annotated[
        bool, typer.Option("--archive", "-a", help="Archive mode (copy all uid/gid information)")
    ] = False,
    follow_link: Annotated[
        bool, typer.Option("--follow-link", "-L", help="Always follow symbol link in SRC_PATH")
    ] = False,
    index: Annotated[
        int, typer.Option("--index", help="Index of the container if there are several")
    ] = 0,
) -> None:
    """Copy from the service's first container, or into every one of them."""
    from pathlib import Path

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


def choose(
    observed: ObservedState, service: str, *, index: int, everything: bool
) -> tuple[ObservedContainer, ...]:
    """Return a service's containers, running or not: that of a number, or all, by number.

    :raises UsageError: when there is none.
    """
    from orchestra.cli.transact import NotRunningError

    found = [
        container
        for container in observed.containers
        if container.service == service
        and (not container.one_off or (everything and not index))
        and (not index or container.number == index)
    ]
    if not found:
        which = f" with index {index}" if index else ""
        raise NotRunningError(
            f'no container found for service "{service}"{which}', hint="see `orchestra ps -a`"
        )
    return tuple(sorted(found, key=lambda each: (each.one_off, each.number, each.created_at)))
