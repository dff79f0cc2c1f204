"""``orchestra export``: a container's root file system as a tar archive."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from orchestra.cli.declare import Argument, Context, Option
from orchestra.cli.session import Session, note
from orchestra.errors import UsageError


def command(
    ctx: Context,
    service: Annotated[str, Argument(metavar="SERVICE")],
    index: Annotated[
        int, Option("--index", help="Index of the container if there are several")
    ] = 0,
    output: Annotated[
        str, Option("--output", "-o", help="Write to a file, instead of STDOUT")
    ] = "",
) -> None:
    """Write the files of the image and what was changed, without volumes."""
    from tempfile import mkstemp

    from orchestra.cli.choosing import choose

    target = Path(output) if output else None
    if target is None and sys.stdout.isatty():
        raise UsageError("refusing to write an archive to a terminal", hint="name a file with -o")
    if target is not None:
        check_target(target)
    session = Session.of(ctx)

    async def main() -> None:
        observed = session.machine.containers(session.project_name)
        container = choose(observed, service, index=index, everything=True)[0]
        access = session.machine.access
        if target is None:
            sys.stdout.flush()
            await access.export(observed.project, container.id, sys.stdout.fileno())
            return
        try:
            fd, name = mkstemp(dir=target.parent, prefix=".export-")
            try:
                await access.export(observed.project, container.id, fd)
                Path(name).replace(target)
            finally:
                os.close(fd)
                Path(name).unlink(missing_ok=True)
        except OSError as err:
            raise UsageError(f'cannot write "{target}": {(err.strerror or "").lower()}') from err
        note(f" {container.name}  Exported to {target}")

    session.run(main)


def check_target(path: Path) -> None:
    """Refuse what cannot become an archive.

    :raises UsageError: when its directory is missing, or it is something else than a file.
    """
    if not path.absolute().parent.is_dir():
        raise UsageError(f'cannot write "{path}": there is no directory "{path.parent}"')
    if path.exists() and not path.is_file():
        raise UsageError(f'cannot write "{path}": it is no regular file')
