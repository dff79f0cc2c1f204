"""One row of ``stats``, in docker's units and field names."""

from __future__ import annotations

from datetime import timedelta

from orchestra.engine.target import ContainerUsage
from orchestra.planner.observed import ObservedContainer

HEADER = {
    "ID": "CONTAINER ID",
    "Name": "NAME",
    "CPUPerc": "CPU %",
    "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %",
    "NetIO": "NET I/O",
    "BlockIO": "BLOCK I/O",
    "PIDs": "PIDS",
}
_DECIMAL = ("B", "kB", "MB", "GB", "TB")
_BINARY = ("B", "KiB", "MiB", "GiB", "TiB")


def stats_row(
    container: ObservedContainer,
    before: ContainerUsage | None,
    now: ContainerUsage | None,
    elapsed: timedelta,
    *,
    whole: bool,
) -> dict[str, str]:
    """Return the fields of one container; zeros for one that does not run.

    ``before`` was read ``elapsed`` earlier, and is None where there was nothing to read.
    """
    row = {
        "Container": container.id if whole else container.id[:12],
        "ID": container.id if whole else container.id[:12],
        "Name": container.name,
    }
    if now is None:
        return row | {
            "CPUPerc": "0.00%", "MemUsage": "0B / 0B", "MemPerc": "0.00%", "NetIO": "0B / 0B",
            "BlockIO": "0B / 0B", "PIDs": "0",
        }  # fmt: skip
    spent = now.cpu_time - before.cpu_time if before is not None else timedelta()
    share = spent / elapsed * 100 if elapsed else 0.0
    held, limit = now.memory_bytes, now.memory_limit_bytes
    return row | {
        "CPUPerc": f"{share:.2f}%",
        "MemUsage": f"{_size(held, 1024, _BINARY)} / {_size(limit, 1024, _BINARY)}",
        "MemPerc": f"{held / limit * 100 if limit else 0:.2f}%",
        "NetIO": _pair(now.received_bytes, now.sent_bytes),
        "BlockIO": _pair(now.read_bytes, now.written_bytes),
        "PIDs": str(now.pids),
    }


def _pair(one: int, other: int) -> str:
    return f"{_size(one, 1000, _DECIMAL)} / {_size(other, 1000, _DECIMAL)}"


def _size(size_bytes: int, base: int, units: tuple[str, ...]) -> str:
    """Render with up to four significant digits for binary units, three for decimal ones."""
    value, digits = float(size_bytes), 4 if base == 1024 else 3
    for unit in units[:-1]:
        if value < base:
            return f"{value:.{digits}g}{unit}"
        value /= base
    return f"{value:.{digits}g}{units[-1]}"
