"""``orchestra image inspect``: all that is known of images."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Exit, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    images: Annotated[list[str], Argument(metavar="IMAGE...")],
    output_format: Annotated[
        str, Option("--format", "-f", help="Format the output: json or a Go template")
    ] = "",
    platform: Annotated[
        str | None, Option("--platform", help="Inspect the image of this platform")
    ] = None,
) -> None:
    """Print a JSON list, or a line each; what is not here is told, and the rest printed."""
    from orchestra.cli.render.errors import lines_of
    from orchestra.cli.render.images import inspected
    from orchestra.cli.render.templates import Template
    from orchestra.cli.render.terminal import json_text, printable
    from orchestra.cli.session import note
    from orchestra.errors import ImageError
    from orchestra.oci.platform import parse_platform

    template = Template(output_format) if output_format not in {"", "json"} else None
    wanted = parse_platform(platform) if platform else None
    library = Session.of(ctx).machine.library
    catalogue = library.catalogue()
    documents, failures = [], []
    for text in images:
        try:
            found = catalogue.find(text, wanted).image
            names, raw = catalogue.names_of(found), library.raw_config(found)
            size = sum(library.layer_sizes(found))
            documents.append(inspected(names, found, raw, library.directories(found), size))
        except ImageError as err:
            failures.append(err)
    if template is not None:
        for document in documents:
            print(printable(template.fill(document)))
    else:
        print(json_text(documents, indent=None if output_format else 4))
    for failure in failures:
        for line in lines_of(failure):
            note(line)
    if failures:
        raise Exit(ImageError.exit_code)
