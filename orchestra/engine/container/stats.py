"""What a container uses, read from its cgroup and its network namespace. cgroups(7)."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from orchestra.engine.linux import host
from orchestra.engine.linux.process import Identity, read_text
from orchestra.engine.target import ContainerUsage

_UNLIMITED_BYTES = 1 << 62
"""v1 says "no limit" by a number near the largest."""


def usage_of(init: Identity) -> ContainerUsage | None:
    """Return what the container of an init uses; None when it has ended or has no cgroup."""
    try:
        cgroups = host.cgroups(init["pid"])
    except OSError:
        return None
    received, sent = _network(init["pid"])
    if cgroups.mode == "v2" and cgroups.unified is not None:
        return _usage_v2(Path(cgroups.unified.directory), received, sent)
    trees = {tree.name: Path(tree.directory) for tree in cgroups.v1}
    return _usage_v1(trees, received, sent)


def _usage_v1(trees: dict[str, Path], received: int, sent: int) -> ContainerUsage:
    memory, blocks = trees.get("memory"), trees.get("blkio")
    held = _number(memory, "memory.usage_in_bytes")
    cached = _values(memory, "memory.stat").get("total_inactive_file", 0)
    transfers = _lines(blocks, "blkio.throttle.io_service_bytes_recursive")
    transfers = transfers or _lines(blocks, "blkio.throttle.io_service_bytes")
    return ContainerUsage(
        cpu_time=timedelta(microseconds=_number(trees.get("cpuacct"), "cpuacct.usage") / 1000),
        memory_bytes=max(0, held - cached),
        memory_limit_bytes=_limit(_number(memory, "memory.limit_in_bytes")),
        received_bytes=received,
        sent_bytes=sent,
        read_bytes=sum(int(line[2]) for line in transfers if line[1:2] == ["Read"]),
        written_bytes=sum(int(line[2]) for line in transfers if line[1:2] == ["Write"]),
        pids=_number(trees.get("pids"), "pids.current"),
    )


def _usage_v2(directory: Path, received: int, sent: int) -> ContainerUsage:
    held = _number(directory, "memory.current")
    cached = _values(directory, "memory.stat").get("inactive_file", 0)
    transfers = [
        dict(word.split("=", 1) for word in line[1:]) for line in _lines(directory, "io.stat")
    ]
    return ContainerUsage(
        cpu_time=timedelta(microseconds=_values(directory, "cpu.stat").get("usage_usec", 0)),
        memory_bytes=max(0, held - cached),
        memory_limit_bytes=_limit(_number(directory, "memory.max")),
        received_bytes=received,
        sent_bytes=sent,
        read_bytes=sum(int(each.get("rbytes", 0)) for each in transfers),
        written_bytes=sum(int(each.get("wbytes", 0)) for each in transfers),
        pids=_number(directory, "pids.current"),
    )


def _limit(limit_bytes: int) -> int:
    """Return the limit, or all of the machine's memory where there is none."""
    if 0 < limit_bytes < _UNLIMITED_BYTES:
        return limit_bytes
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _network(pid: int) -> tuple[int, int]:
    """Return bytes received and sent by all interfaces but loopback; zeros on the host's own."""
    try:
        if os.stat(f"/proc/{pid}/ns/net").st_ino == os.stat("/proc/self/ns/net").st_ino:  # noqa: PTH116
            return 0, 0
        rows = read_text(f"/proc/{pid}/net/dev").splitlines()[2:]
    except OSError:
        return 0, 0
    fields = [row.replace(":", " ").split() for row in rows]
    counted = [(int(row[1]), int(row[9])) for row in fields if row[0] != "lo"]
    return sum(row[0] for row in counted), sum(row[1] for row in counted)


def _lines(directory: Path | None, name: str) -> list[list[str]]:
    if directory is None:
        return []
    try:
        return [line.split() for line in (directory / name).read_text().splitlines()]
    except OSError:
        return []


def _values(directory: Path | None, name: str) -> dict[str, int]:
    return {line[0]: int(line[1]) for line in _lines(directory, name) if len(line) == 2}


def _number(directory: Path | None, name: str) -> int:
    """Return the number in a file; 0 where it is missing, or says "max"."""
    lines = _lines(directory, name)
    word = lines[0][0] if lines and lines[0] else "0"
    return int(word) if word.isdecimal() else 0
