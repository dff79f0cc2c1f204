"""``orchestra system df``: what takes how much of the disk."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Context, Option
from orchestra.cli.session import Session

_HEADER = {
    "Type": "TYPE",
    "TotalCount": "TOTAL",
    "Active": "ACTIVE",
    "Size": "SIZE",
    "Reclaimable": "RECLAIMABLE",
}


def command(
    ctx: Context,
    output_format: Annotated[
        str, Option("--format", help="Format the output: table, json or a Go template")
    ] = "",
    verbose: Annotated[
        bool, Option("--verbose", "-v", help="Show detailed information on space usage")
    ] = False,
) -> None:
    """Print one row a kind, or with -v one row a thing."""
    from orchestra.cli.render.gotemplate import print_formatted
    from orchestra.cli.render.tables import print_table, size_text

    kinds = Session.of(ctx).machine.library.usage()
    if verbose and output_format in {"", "table"}:
        for kind in kinds:
            print(f"{kind.title} space usage:\n")
            print_table(
                ("NAME", "ID", "SIZE", "ACTIVE"),
                (
                    (thing.name, thing.note[:19], size_text(thing.bytes), str(thing.active).lower())
                    for thing in kind.things
                ),
            )
            print()
        return
    rows = []
    for kind in kinds:
        share = f" ({kind.reclaimable * 100 // kind.bytes}%)" if kind.bytes else ""
        rows.append(
            {
                "Type": kind.title,
                "TotalCount": str(len(kind.things)),
                "Active": str(sum(thing.active for thing in kind.things)),
                "Size": size_text(kind.bytes),
                "Reclaimable": f"{size_text(kind.reclaimable)}{share}",
            }
        )
    print_formatted(output_format, _HEADER, rows)
