"""``orchestra ls``: the projects of this machine."""

from __future__ import annotations

from collections import Counter

from orchestra.cli.declare import Annotated, Context, Option
from orchestra.cli.names import name_patterns
from orchestra.cli.session import Session

_FILES_LABEL = "com.docker.compose.project.config_files"
_SHOWN = ("running", "paused")


def command(
    ctx: Context,
    everything: Annotated[
        bool, Option("--all", "-a", help="Show all stopped projects as well")
    ] = False,
    output_format: Annotated[
        str, Option("--format", help="Format the output: table or json")
    ] = "table",
    filters: Annotated[
        list[str] | None, Option("--filter", help="Filter output: name=REGEX")
    ] = None,
    quiet: Annotated[bool, Option("--quiet", "-q", help="Only display names")] = False,
) -> None:
    """Print one row a project."""
    import json

    from orchestra.cli.options import check_choice
    from orchestra.cli.render.tables import print_table

    check_choice("--format", output_format, ("table", "json"))
    patterns = name_patterns(filters or ())
    session = Session.of(ctx)

    rows = []
    for project in session.machine.projects():
        shown = [
            container
            for container in session.machine.containers(project).containers
            if everything or container.phase in _SHOWN
        ]
        phases = Counter(str(container.phase) for container in shown)
        if not phases or (patterns and not any(p.search(project) for p in patterns)):
            continue
        status = ", ".join(f"{phase}({phases[phase]})" for phase in sorted(phases))
        files = (c.labels.get(_FILES_LABEL, "") for c in shown)
        rows.append((project, status, ",".join(dict.fromkeys(filter(None, files)))))
    if quiet:
        for row in rows:
            print(row[0])
    elif output_format == "json":
        names = ("Name", "Status", "ConfigFiles")
        print(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))
    else:
        print_table(("NAME", "STATUS", "CONFIG FILES"), rows)
