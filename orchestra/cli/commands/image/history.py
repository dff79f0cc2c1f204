"""``orchestra image history``: how an image was made."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    image: Annotated[str, Argument(metavar="IMAGE")],
    output_format: Annotated[
        str, Option("--format", help="Format the output: table, json or a Go template")
    ] = "",
    human: Annotated[
        bool,
        Option("--human/--no-human", "-H", help="Print sizes and dates in human readable format"),
    ] = True,
    no_trunc: Annotated[bool, Option("--no-trunc", help="Don't truncate output")] = False,
    platform: Annotated[
        str | None, Option("--platform", help="Show the history of this platform's image")
    ] = None,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Only show image IDs")] = False,
) -> None:
    """Print one row a step, the newest first."""
    from orchestra.cli.render.gotemplate import print_formatted
    from orchestra.cli.render.images import HISTORY, history_rows
    from orchestra.oci.platform import parse_platform

    library = Session.of(ctx).machine.library
    found = library.catalogue().find(image, parse_platform(platform) if platform else None)
    moments = library.moments(found.image)
    sizes = library.layer_sizes(found.image)
    rows = history_rows(found.image, moments, sizes, whole=no_trunc, human=human)
    if quiet and not output_format:
        output_format = "{{.ID}}"
    print_formatted(output_format, HISTORY, rows)
