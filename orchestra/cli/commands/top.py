"""``orchestra top``: the processes of running containers."""

from __future__ import annotations

from orchestra.cli.declare import Annotated, Argument, Context
from orchestra.cli.session import Session


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICE]...")] = None,
) -> None:
    """Print a table with the columns of ``ps -ef``."""
    import pwd
    from datetime import datetime

    from orchestra.cli.render.tables import PROCESS_HEADER, print_table, process_row
    from orchestra.cli.session import select
    from orchestra.planner.observed import LIVE

    session = Session.of(ctx)
    observed = session.machine.containers(session.project_name)
    chosen = select(session, observed, services or (), one_off=True)
    now = datetime.now().astimezone()
    names = {entry.pw_uid: entry.pw_name for entry in pwd.getpwall()}
    rows = [
        (
            container.service,
            str(container.number),
            *process_row(process, names.get(process.uid, str(process.uid)), now),
        )
        for container in sorted(chosen, key=lambda each: each.name)
        if container.phase in LIVE
        for process in session.machine.access.processes(observed.project, container.id)
    ]
    if rows:
        print_table(PROCESS_HEADER, rows, gap=2)
