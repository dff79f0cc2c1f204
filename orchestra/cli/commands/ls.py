"""``orchestra ls``: the projects of this machine."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from orchestra.cli.session import Session


def command(
    ctx: typer.Context,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Show all stopped projects as well")
    ] = False,
    output_format: Annotated[
        str, typer.Option("--format", help="Format the output: table or json")
    ] = "table",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only display names")] = False,
) -> None:
    """Print one row a project."""
    import json

    from orchestra.cli.render.tables import print_table

    session = Session.of(ctx)

    async def main() -> list[tuple[str, str, str]]:
        rows = []
        for project in session.machine.projects():
            controller = session.machine.controller(project)
            phases = Counter(str(c.phase) for c in (await controller.observe()).containers)
            if not phases or not (everything or phases["running"]):
                continue
            status = ", ".join(f"{phase}({phases[phase]})" for phase in sorted(phases))
            state = controller.wished().state
            rows.append((project, status, ",".join(state.config_files) if state else ""))
        return rows

    rows = session.run(main)
    if quiet:
        for row in rows:
            print(row[0])
    elif output_format == "json":
        names = ("Name", "Status", "ConfigFiles")
        print(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))
    else:
        print_table(("NAME", "STATUS", "CONFIG FILES"), rows)
