"""``orchestra image load``: images out of a tar archive."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    archive: Annotated[
        str, Option("--input", "-i", help="Read from tar archive file, instead of STDIN")
    ] = "",
    platform: Annotated[
        str | None, Option("--platform", help="Load the images of this platform alone")
    ] = None,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Suppress the load output")] = False,
) -> None:
    """Read the archive of docker save, podman, skopeo or image save, packed or not."""
    from orchestra.cli.reading import opened

    session = Session.of(ctx)
    traffic = session.machine.traffic
    with opened(archive, option="-i FILE") as file:
        loaded = session.run(lambda: traffic.load(file.read, platform))
    for one in loaded:
        if quiet:
            continue
        if one.reference:
            print(f"Loaded image: {one.reference.familiar}")
        else:
            print(f"Loaded image ID: {one.id}")
