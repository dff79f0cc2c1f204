"""``orchestra builder history logs``: what a build said."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    reference: Annotated[str, Argument(metavar="[REF|^N]")] = "",
    progress: Annotated[
        str, Option("--progress", help="Set type of progress output: plain, rawjson")
    ] = "plain",
) -> None:
    """Print it line by line; of the last build without a REF."""
    from orchestra.cli.options import check_choice
    from orchestra.cli.render.rawjson import RawJson
    from orchestra.cli.render.transfers import plain_lines

    check_choice("--progress", progress, ("auto", "plain", "tty", "rawjson"))
    told = Session.of(ctx).machine.build_history.told(reference)
    if progress == "rawjson":
        writer = RawJson()
        for each in told:
            for line in writer.lines(each.event, each.at):
                print(line)
        return
    for line in plain_lines(each.event for each in told):
        print(line)
