"""``orchestra image search``: repositories of a registry."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session
from orchestra.errors import UsageError

_HEADER = {
    "Name": "NAME",
    "Description": "DESCRIPTION",
    "StarCount": "STARS",
    "IsOfficial": "OFFICIAL",
}
_WIDTH = 45


def command(
    ctx: Context,
    term: Annotated[str, Argument(metavar="TERM")],
    filters: Annotated[
        list[str] | None, Option("--filter", "-f", help="Filter output: is-official, stars")
    ] = None,
    output_format: Annotated[
        str, Option("--format", help="Format the output: table, json or a Go template")
    ] = "",
    limit: Annotated[int, Option("--limit", help="Max number of search results")] = 25,
    no_trunc: Annotated[bool, Option("--no-trunc", help="Don't truncate output")] = False,
) -> None:
    """Print one row a repository; HOST/TERM asks another registry than Docker Hub."""
    from orchestra.cli.render.gotemplate import print_formatted

    stars, official = 0, None
    for text in filters or ():
        key, _, value = text.partition("=")
        if key == "stars" and value.isdecimal():
            stars = int(value)
        elif key == "is-official" and value in {"true", "false"}:
            official = value == "true"
        else:
            raise UsageError(f'invalid filter "{text}"', hint="use stars=3 or is-official=true")
    if not 1 <= limit <= 100:
        raise UsageError(f'"{limit}" is no value of --limit', hint="use 1 to 100")
    session = Session.of(ctx)
    rows = []
    for hit in session.run(lambda: session.registries.search(term, limit=limit)):
        if hit.stars < stars or (official is not None and hit.official is not official):
            continue
        text = " ".join(hit.description.split())
        cut = text if no_trunc or len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
        rows.append(
            {
                "Name": hit.name,
                "Description": cut,
                "StarCount": str(hit.stars),
                "IsOfficial": "[OK]" if hit.official else "",
                "IsAutomated": "",
            }
        )
    print_formatted(output_format, _HEADER, rows)
