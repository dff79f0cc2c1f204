"""``orchestra image save``: images as a tar archive."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    images: Annotated[list[str], Argument(metavar="IMAGE...")],
    output: Annotated[
        str, Option("--output", "-o", help="Write to a file, instead of STDOUT")
    ] = "",
    platform: Annotated[
        str | None, Option("--platform", help="Save the images of this platform alone")
    ] = None,
) -> None:
    """Write an archive that docker, podman and skopeo read; to a file whole or not at all."""
    from orchestra.cli.archives import target_of, written_whole

    target = target_of(output)
    traffic = Session.of(ctx).machine.traffic
    with written_whole(target) as fd, open(fd, "wb", closefd=False) as file:
        traffic.save(images, file.write, platform)
