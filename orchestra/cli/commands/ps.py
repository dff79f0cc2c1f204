"""``orchestra ps``: the project's containers."""

from __future__ import annotations

from typing import Annotated

import typer

from orchestra.cli.session import Session

_STATES = ("created", "running", "paused", "exited", "lost")


def command(
    ctx: typer.Context,
    services: Annotated[list[str] | None, typer.Argument(metavar="[SERVICE]...")] = None,
    everything: Annotated[
        bool, typer.Option("--all", "-a", help="Show all stopped containers as well")
    ] = False,
    output_format: Annotated[
        str, typer.Option("--format", help="Format the output: table or json")
    ] = "table",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only display IDs")] = False,
    list_services: Annotated[bool, typer.Option("--services", help="Display services")] = False,
    status: Annotated[
        list[str] | None, typer.Option("--status", help=f"Filter by status: {', '.join(_STATES)}")
    ] = None,
    filters: Annotated[
        list[str] | None, typer.Option("--filter", help="Filter by status: status=running")
    ] = None,
    no_trunc: Annotated[bool, typer.Option("--no-trunc", help="Don't truncate output")] = False,
    orphans: Annotated[
        bool, typer.Option("--orphans/--no-orphans", help="Include orphaned services")
    ] = True,
) -> None:
    """Print a table, JSON lines, ids or service names."""
    from orchestra.cli.render.tables import (
        PS_HEADER,
        print_json_lines,
        print_table,
        ps_json,
        ps_row,
    )
    from orchestra.cli.session import pick
    from orchestra.errors import UsageError
    from orchestra.planner.observed import Phase

    session = Session.of(ctx)
    controller = session.controller()
    wanted = set(status or ()) | {
        text.removeprefix("status=") for text in filters or () if text.startswith("status=")
    }
    if unknown := wanted - set(_STATES):
        raise UsageError(f'"{min(unknown)}" is no status', hint=f"use {', '.join(_STATES)}")
    observed = session.run(controller.observe)
    containers = pick(observed, services or (), one_off=everything)
    if not orphans and (state := controller.wished().state) is not None:
        containers = tuple(c for c in containers if c.service in state.services)
    if wanted:
        containers = tuple(c for c in containers if c.phase in wanted)
    elif not everything:
        containers = tuple(c for c in containers if c.phase in {Phase.RUNNING, Phase.PAUSED})
    if quiet:
        for container in containers:
            print(container.id if no_trunc else container.id[:12])
    elif list_services:
        for service in sorted({container.service for container in containers}):
            print(service)
    elif output_format == "json":
        print_json_lines(ps_json(container, observed.project) for container in containers)
    else:
        print_table(PS_HEADER, map(ps_row, containers))
