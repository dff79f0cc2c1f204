"""``orchestra image save``: images as a tar archive."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from orchestra.cli.commands.export import check_target
from orchestra.cli.declare import Argument, Context, Option
from orchestra.cli.session import Session
from orchestra.errors import UsageError


def command(
    ctx: Context,
    images: Annotated[list[str], Argument(metavar="IMAGE...")],
    output: Annotated[
        str, Option("--output", "-o", help="Write to a file, instead of STDOUT")
    ] = "",
) -> None:
    """Write an archive that docker, podman and skopeo read; to a file whole or not at all."""
    from tempfile import mkstemp

    target = Path(output) if output else None
    if target is None and sys.stdout.isatty():
        raise UsageError("refusing to write an archive to a terminal", hint="name a file with -o")
    if target is not None:
        check_target(target)
    traffic = Session.of(ctx).machine.traffic
    if target is None:
        sys.stdout.flush()
        traffic.save(images, sys.stdout.buffer.write)
        sys.stdout.buffer.flush()
        return
    try:
        fd, name = mkstemp(dir=target.parent, prefix=".save-")
        try:
            with os.fdopen(fd, "wb") as file:
                traffic.save(images, file.write)
            Path(name).replace(target)
        finally:
            Path(name).unlink(missing_ok=True)
    except OSError as err:
        raise UsageError(f'cannot write "{target}": {(err.strerror or "").lower()}') from err
