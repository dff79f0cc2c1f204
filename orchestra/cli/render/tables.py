"""Tables and JSON lines for ps, images and ls, in docker compose's columns and field names."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from orchestra.cli.render.terminal import json_text, printable
from orchestra.planner.desired import PortSpec
from orchestra.planner.observed import Health, ObservedContainer, Phase

if TYPE_CHECKING:
    from orchestra.engine.target import ContainerProcess

_COMMAND_WIDTH = 20


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]], *, gap: int = 3) -> None:
    """Print left-aligned columns, ``gap`` blanks apart."""
    table = [list(header), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[n]) for row in table) for n in range(len(header))]
    for row in table:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print((" " * gap).join(cells).rstrip())


def print_json_lines(rows: Iterable[Mapping[str, object]]) -> None:
    """Print one JSON object a line."""
    for row in rows:
        sys.stdout.write(json_text(row) + "\n")


def moment_text(moment: datetime) -> str:
    """Return a moment in RFC 3339, as Go writes it."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def ago(moment: datetime | None, now: datetime | None = None) -> str:
    """Say how long ago something was, in docker's words ("5 minutes")."""
    if moment is None:
        return ""
    seconds = max(0, int(((now or datetime.now(UTC)) - moment).total_seconds()))
    if seconds < 1:
        return "Less than a second"
    for size, unit in ((31536000, "year"), (2592000, "month"), (604800, "week"), (86400, "day")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}s"
    if seconds >= 2 * 3600:
        return f"{seconds // 3600} hours"
    if seconds >= 3600:
        return "About an hour"
    if seconds >= 120:
        return f"{seconds // 60} minutes"
    if seconds >= 60:
        return "About a minute"
    return f"{seconds} second{'s' if seconds != 1 else ''}"


def status_of(container: ObservedContainer) -> str:
    """Describe a container's state in docker's words ("Up 5 minutes (healthy)")."""
    match container.phase:
        case Phase.RUNNING:
            health = {
                Health.NONE: "",
                Health.STARTING: " (health: starting)",
                Health.HEALTHY: " (healthy)",
                Health.UNHEALTHY: " (unhealthy)",
            }[container.health]
            return f"Up {ago(container.started_at)}{health}"
        case Phase.PAUSED:
            return f"Up {ago(container.started_at)} (Paused)"
        case Phase.EXITED:
            return f"Exited ({container.exit_code}) {ago(container.finished_at)} ago"
        case Phase.CREATED:
            return "Created"
        case Phase.LOST:
            return "Lost"


def port_text(port: PortSpec) -> str:
    """Render one published port as docker does."""
    if port.host_port is None:
        return f"{port.container_port}/{port.protocol}"
    host = port.host_ip or "0.0.0.0"  # noqa: S104 - what docker prints
    return f"{host}:{port.host_port}->{port.container_port}/{port.protocol}"


def _command(container: ObservedContainer, *, whole: bool) -> str:
    command = container.command
    if len(command) > _COMMAND_WIDTH and not whole:
        command = command[: _COMMAND_WIDTH - 1] + "…"
    return f'"{command}"'


def ps_json(
    container: ObservedContainer, project: str, *, whole: bool = False
) -> dict[str, object]:
    """Return ``ps --format json``'s object; ``whole``: nothing is cut."""
    return {
        "Command": _command(container, whole=whole),
        "CreatedAt": container.created_at.astimezone().strftime("%Y-%m-%d %H:%M:%S %z %Z"),
        "ExitCode": container.exit_code or 0,
        "Health": "" if container.health is Health.NONE else str(container.health),
        "ID": container.id if whole else container.id[:12],
        "Image": container.image,
        "Labels": ",".join(f"{k}={v}" for k, v in sorted(container.labels.items())),
        "LocalVolumes": str(len(container.volumes)),
        "Mounts": ",".join(container.volumes),
        "Name": container.name,
        "Names": container.name,
        "Networks": ",".join(f"{project}_{n.network}" for n in container.networks),
        "Ports": ", ".join(port_text(port) for port in container.ports),
        "Project": project,
        "Publishers": [
            {
                "URL": port.host_ip or "0.0.0.0",  # noqa: S104 - what docker prints
                "TargetPort": port.container_port,
                "PublishedPort": port.host_port or 0,
                "Protocol": port.protocol,
            }
            for port in container.ports
        ],
        "RunningFor": f"{ago(container.created_at)} ago",
        "Service": container.service,
        "Size": "0B",
        "State": str(container.phase),
        "Status": status_of(container),
    }


def ps_row(container: ObservedContainer, *, whole: bool = False) -> tuple[str, ...]:
    """Return one row of ``ps``; ``whole``: nothing is cut."""
    return (
        container.name,
        container.image,
        _command(container, whole=whole),
        container.service,
        f"{ago(container.created_at)} ago",
        status_of(container),
        ", ".join(port_text(port) for port in container.ports),
    )


PROCESS_HEADER = ("SERVICE", "#", "UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD")
_USER_WIDTH = 8


def process_row(process: ContainerProcess, user: str, now: datetime) -> tuple[str, ...]:
    """Return the columns that ``ps -ef`` has for one process; ``now`` with the local zone."""
    started = process.started_at.astimezone(now.tzinfo)
    if now - started < timedelta(days=1):
        begun = started.strftime("%H:%M")
    else:
        begun = started.strftime("%b%d" if started.year == now.year else "%Y")
    lived = (now - started).total_seconds()
    busy = process.cpu_time.total_seconds()
    minutes, seconds = divmod(int(busy), 60)
    return (
        user if len(user) <= _USER_WIDTH else f"{user[: _USER_WIDTH - 1]}+",
        str(process.pid),
        str(process.parent),
        str(min(99, int(busy * 100 / lived)) if lived > 0 else 0),
        begun,
        process.terminal or "?",
        f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}",
        process.command,
    )


PS_HEADER = ("NAME", "IMAGE", "COMMAND", "SERVICE", "CREATED", "STATUS", "PORTS")


def size_text(size_bytes: int) -> str:
    """Render a size in docker's decimal units with three significant digits ("142MB")."""
    value = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}TB"
