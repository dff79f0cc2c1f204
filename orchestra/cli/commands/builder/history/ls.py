"""``orchestra builder history ls``: the builds that were done on this machine."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Context, Option
from orchestra.cli.session import Session


def command(
    ctx: Context,
    filters: Annotated[
        list[str] | None,
        Option(
            "--filter", help="Filter: ref, status, startedAt, completedAt, duration (status=error)"
        ),
    ] = None,
    output_format: Annotated[
        str, Option("--format", help="Format the output: table, json or a Go template")
    ] = "",
    local: Annotated[
        bool, Option("--local", help="List records for current repository only")
    ] = False,
    no_trunc: Annotated[bool, Option("--no-trunc", help="Don't truncate output")] = False,
) -> None:
    """Print one row a build, the newest first."""
    from pathlib import Path

    from orchestra.cli.render.builds import HEADER, build_json, build_row
    from orchestra.cli.render.gotemplate import print_formatted
    from orchestra.cli.render.tables import print_json_lines
    from orchestra.cli.searching import chosen_builds, repository_of

    repository = repository_of(Path.cwd()) if local else None
    records = Session.of(ctx).machine.build_history.records()
    found = chosen_builds(records, filters or (), repository)
    if output_format == "json":
        print_json_lines(map(build_json, found))
        return
    whole = no_trunc or not (output_format == "" or output_format.startswith("table"))
    print_formatted(output_format, HEADER, [build_row(record, whole=whole) for record in found])
