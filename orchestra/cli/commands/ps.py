"""``orchestra ps``: the project's containers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from orchestra.cli.declare import Annotated, Argument, Context, Option
from orchestra.cli.session import Session
from orchestra.errors import UsageError

if TYPE_CHECKING:
    from orchestra.planner.observed import ObservedContainer

_STATES = ("created", "running", "paused", "restarting", "removing", "exited", "dead", "lost")


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICE]...")] = None,
    everything: Annotated[
        bool, Option("--all", "-a", help="Show all stopped containers as well")
    ] = False,
    output_format: Annotated[
        str, Option("--format", help="Format the output: table, json or a Go template")
    ] = "table",
    quiet: Annotated[bool, Option("--quiet", "-q", help="Only display IDs")] = False,
    list_services: Annotated[bool, Option("--services", help="Display services")] = False,
    status: Annotated[
        list[str] | None, Option("--status", help=f"Filter by status: {', '.join(_STATES)}")
    ] = None,
    filters: Annotated[
        list[str] | None, Option("--filter", help="Filter by status: status=running")
    ] = None,
    no_trunc: Annotated[bool, Option("--no-trunc", help="Don't truncate output")] = False,
    orphans: Annotated[
        bool, Option("--orphans/--no-orphans", help="Include orphaned services")
    ] = True,
) -> None:
    """Print a table, JSON lines, a template's lines, ids or service names."""
    from orchestra.cli.render.tables import (
        PS_HEADER,
        print_json_lines,
        print_table,
        ps_json,
        ps_row,
    )
    from orchestra.cli.session import select
    from orchestra.planner.observed import LIVE

    wanted = _statuses(status or (), filters or ())
    session = Session.of(ctx)
    observed = session.machine.containers(session.project_name)
    containers = select(session, observed, services or (), one_off=everything)
    if not orphans and (state := session.machine.store.wished(observed.project).state) is not None:
        containers = tuple(c for c in containers if c.service in state.services)
    if wanted:
        containers = tuple(c for c in containers if c.phase in wanted)
    elif not everything:
        containers = tuple(c for c in containers if c.phase in LIVE)
    if quiet:
        for container in containers:
            print(container.id)
    elif list_services:
        for service in sorted({container.service for container in containers}):
            print(service)
    elif output_format == "json":
        print_json_lines(ps_json(c, observed.project, whole=no_trunc) for c in containers)
    elif output_format in {"", "table"}:
        print_table(PS_HEADER, (ps_row(container, whole=no_trunc) for container in containers))
    else:
        _print_formatted(output_format, containers, observed.project, whole=no_trunc)


def _print_formatted(
    template: str, containers: Iterable[ObservedContainer], project: str, *, whole: bool
) -> None:
    from orchestra.cli.render.gotemplate import print_formatted
    from orchestra.cli.render.tables import ps_json
    from orchestra.cli.render.templates import Row

    def row(container: ObservedContainer) -> Row:
        def label(name: str) -> str:
            return container.labels.get(name, "")

        return Row(ps_json(container, project, whole=whole), {"Label": label})

    print_formatted(template, {"RunningFor": "CREATED", "ID": "CONTAINER ID"}, map(row, containers))


def _statuses(status: Iterable[str], filters: Iterable[str]) -> set[str]:
    """Return the states asked for.

    :raises UsageError: when a filter is of another kind, or there is no such state.
    """
    wanted = set(status)
    for text in filters:
        key, equals, value = text.partition("=")
        if key != "status" or not equals:
            raise UsageError(f'invalid filter "{text}"', hint="use --filter status=STATUS")
        wanted.add(value)
    if unknown := wanted - set(_STATES):
        raise UsageError(f'"{min(unknown)}" is no status', hint=f"use {', '.join(_STATES)}")
    return wanted
