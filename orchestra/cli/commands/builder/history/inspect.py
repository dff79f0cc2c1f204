"""``orchestra builder history inspect``: all that is known of one build."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    reference: Annotated[str, Argument(metavar="[REF|^N]")] = "",
    output_format: Annotated[
        str, Option("--format", help="Format the output: pretty, json or a Go template")
    ] = "pretty",
) -> None:
    """Print what was built, how, and what became of it; of the last build without a REF."""
    from orchestra.cli.render.builds import build_document, build_lines
    from orchestra.cli.render.templates import Template
    from orchestra.cli.render.terminal import json_text, printable

    history = Session.of(ctx).machine.build_history
    record = history.find(reference)
    if output_format == "json":
        print(json_text(build_document(record), indent=2))
    elif output_format == "pretty":
        told = [each.event for each in history.told(record.id)]
        for line in build_lines(record, told, named=bool(reference)):
            print(printable(line))
    else:
        print(printable(Template(output_format).fill(build_document(record, whole=True))))
