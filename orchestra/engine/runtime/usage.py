"""The verb ``events``: what a container uses and whether it ran out of memory, as runc has it.

A line of JSON is {"type": "stats" | "oom", "id": ..., "data": ...}; the fields below ``data`` are
those of runc, with its units: nanoseconds, bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping

from orchestra.engine.linux.process import read_text
from orchestra.engine.runtime.cgroup import Cgroup
from orchestra.engine.runtime.container import Container
from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.values import TypedDict

_TICK_NANOSECONDS = 10**9 // os.sysconf("SC_CLK_TCK")
_UNLIMITED = 2**64 - 1
_V1_MEMORY = {
    "usage": "memory",
    "swap": "memory.memsw",
    "kernel": "memory.kmem",
    "kernelTCP": "memory.kmem.tcp",
}
_CPUSET_NUMBERS = (
    "cpu_exclusive",
    "mem_hardwall",
    "mem_exclusive",
    "memory_migrate",
    "memory_spread_page",
    "memory_spread_slab",
    "memory_pressure",
    "sched_load_balance",
    "sched_relax_domain_level",
)


class Block(TypedDict):
    """One counter of a block device."""

    major: int
    minor: int
    op: str
    value: int


def events(options: argparse.Namespace) -> int:
    """Print what a container uses: once with ``--stats``, else again and again until it ends."""
    seconds = _seconds(options.interval)
    container = Container.find(options.root, options.id)
    if container.status() == "stopped":
        raise RuntimeFailure(f"container with id {options.id} is not running")
    cgroup = container.cgroup()
    if not cgroup.exists:
        raise RuntimeFailure("cannot read usage: the container has no cgroup")
    _print("stats", options.id, statistics(cgroup))
    if options.stats:
        return 0
    _follow(container, cgroup, seconds)
    return 0


def _follow(container: Container, cgroup: Cgroup, seconds: float) -> None:
    import select  # noqa: PLC0415 - of this verb alone

    container_id, kills = container.directory.container_id, cgroup.oom_kills()
    pidfd = container.pidfd()
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        ended = False
        while not ended:
            ended = bool(poll.poll(seconds * 1000))
            # Also when it ended: that may be of it.
            if cgroup.oom_kills() > kills:
                kills = cgroup.oom_kills()
                _print("oom", container_id, None)
            if not ended:
                _print("stats", container_id, statistics(cgroup))
    finally:
        os.close(pidfd)


def _print(kind: str, container_id: str, data: object) -> None:
    document = {"type": kind, "id": container_id}
    sys.stdout.write(json.dumps(document if data is None else {**document, "data": data}) + "\n")
    sys.stdout.flush()


def _seconds(text: str) -> float:
    """Read an interval as runc's: "5s", "100ms", "1m"."""
    for unit, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0)):
        number = text.removesuffix(unit)
        if number != text and number.replace(".", "", 1).isdigit() and float(number) > 0:
            return float(number) * factor
    raise RuntimeFailure(f'"{text}" is no interval, such as 5s')


def statistics(cgroup: Cgroup) -> dict[str, object]:
    """Return the usage of a cgroup; a controller that is not there leaves its part empty."""
    unified = cgroup.unified_directory()
    if unified:
        found = _v2(unified)
    else:
        found = _v1({name: path for name, path in cgroup.v1_directories().items() if path})
    return {**found, "intel_rdt": {}, "network_interfaces": None}


def _v1(directories: Mapping[str, str]) -> dict[str, object]:
    accounting, cpu = directories.get("cpuacct", ""), directories.get("cpu", "")
    ticks = _counters(f"{accounting}/cpuacct.stat")
    throttling = _counters(f"{cpu}/cpu.stat")
    usage = {
        "total": _number(f"{accounting}/cpuacct.usage"),
        "percpu": _numbers(f"{accounting}/cpuacct.usage_percpu"),
        "kernel": ticks.get("system", 0) * _TICK_NANOSECONDS,
        "user": ticks.get("user", 0) * _TICK_NANOSECONDS,
    }
    memory = directories.get("memory", "")
    return {
        "cpu": {
            "usage": usage,
            "throttling": _throttling(throttling, throttling.get("throttled_time", 0)),
        },
        "cpuset": _cpuset(directories.get("cpuset", "")),
        "memory": {
            **{part: _v1_memory(memory, prefix) for part, prefix in _V1_MEMORY.items()},
            "raw": _counters(f"{memory}/memory.stat"),
        },
        "pids": _pids(directories.get("pids", "")),
        "blkio": _filled(
            ioServiceBytesRecursive=_v1_blocks(directories, "io_service_bytes_recursive"),
            ioServicedRecursive=_v1_blocks(directories, "io_serviced_recursive"),
        ),
        "hugetlb": _pages(directories.get("hugetlb", ""), "usage_in_bytes", "max_usage_in_bytes"),
    }


def _v1_blocks(directories: Mapping[str, str], file: str) -> list[Block]:
    """Read lines as "254:0 Read 4096"; the total has no device."""
    lines = _text(f"{directories.get('blkio', '')}/blkio.throttle.{file}").splitlines()
    rows = (line.split() for line in lines)
    return [_block(row[0], row[1], row[2]) for row in rows if len(row) == 3]


def _block(device: str, operation: str, value: str) -> Block:
    major, _, minor = device.partition(":")
    return {"major": int(major), "minor": int(minor), "op": operation, "value": int(value)}


def _filled(**lists: list[Block]) -> dict[str, list[Block]]:
    return {name: blocks for name, blocks in lists.items() if blocks}


def _pages(directory: str, usage: str, peak: str) -> dict[str, dict[str, int]]:
    """Return the usage of huge pages by their size, as "2MB"."""
    try:
        names = sorted(os.listdir(directory)) if directory else []  # noqa: PTH208 - pathlib is 8 ms of import
    except OSError:
        names = []
    found = {}
    for name in names:
        prefix, size, rest = [*name.split(".", 2), "", ""][:3]
        if prefix == "hugetlb" and rest == usage:
            stem = f"{directory}/hugetlb.{size}"
            found[size] = {
                "usage": _number(f"{directory}/{name}"),
                "max": _number(f"{stem}.{peak}"),
                "failcnt": _number(f"{stem}.failcnt") or _counters(f"{stem}.events").get("max", 0),
            }
    return found


def _v1_memory(directory: str, prefix: str) -> dict[str, int]:
    return {
        "limit": _number(f"{directory}/{prefix}.limit_in_bytes"),
        "usage": _number(f"{directory}/{prefix}.usage_in_bytes"),
        "max": _number(f"{directory}/{prefix}.max_usage_in_bytes"),
        "failcnt": _number(f"{directory}/{prefix}.failcnt"),
    }


def _v2(directory: str) -> dict[str, object]:
    cpu, memory = _counters(f"{directory}/cpu.stat"), _counters(f"{directory}/memory.stat")
    usage, limit = _number(f"{directory}/memory.current"), _number(f"{directory}/memory.max")
    swap, swap_limit = (
        _number(f"{directory}/memory.swap.current"),
        _number(f"{directory}/memory.swap.max"),
    )
    failures = _counters(f"{directory}/memory.events").get("max", 0)
    peak = _number(f"{directory}/memory.peak")
    return {
        "cpu": {
            "usage": {
                "total": cpu.get("usage_usec", 0) * 1000,
                "kernel": cpu.get("system_usec", 0) * 1000,
                "user": cpu.get("user_usec", 0) * 1000,
            },
            "throttling": _throttling(cpu, cpu.get("throttled_usec", 0) * 1000),
        },
        "cpuset": {
            "cpus": _list(f"{directory}/cpuset.cpus.effective"),
            "mems": _list(f"{directory}/cpuset.mems.effective"),
        },
        "memory": {
            "cache": memory.get("file", 0),
            "usage": {"limit": limit, "usage": usage, "max": peak, "failcnt": failures},
            # As runc counts: memory and swap together.
            "swap": {
                "limit": min(limit + swap_limit, _UNLIMITED),
                "usage": usage + swap,
                "failcnt": 0,
            },
            "kernel": {"failcnt": 0},
            "kernelTCP": {"failcnt": 0},
            "raw": memory,
        },
        "pids": _pids(directory),
        "blkio": _filled(
            ioServiceBytesRecursive=_v2_blocks(directory, rbytes="Read", wbytes="Write"),
            ioServicedRecursive=_v2_blocks(directory, rios="Read", wios="Write"),
        ),
        "hugetlb": _pages(directory, "current", "peak"),
    }


def _v2_blocks(directory: str, **operations: str) -> list[Block]:
    """Read lines as "254:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0"."""
    found = []
    for line in _text(f"{directory}/io.stat").splitlines():
        device, *pairs = line.split()
        values = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        found += [
            _block(device, operation, values[key])
            for key, operation in operations.items()
            if values.get(key, "").isdigit()
        ]
    return found


def _throttling(counters: Mapping[str, int], nanoseconds: int) -> dict[str, int]:
    found = {
        "periods": counters.get("nr_periods", 0),
        "throttledPeriods": counters.get("nr_throttled", 0),
        "throttledTime": nanoseconds,
    }
    return {name: value for name, value in found.items() if value}


def _cpuset(directory: str) -> dict[str, object]:
    if not directory:
        return {}
    numbers = {name: _number(f"{directory}/cpuset.{name}") for name in _CPUSET_NUMBERS}
    return {
        "cpus": _list(f"{directory}/cpuset.cpus"),
        "mems": _list(f"{directory}/cpuset.mems"),
        **numbers,
    }


def _pids(directory: str) -> dict[str, int]:
    limit = _text(f"{directory}/pids.max").strip()
    found = {"current": _number(f"{directory}/pids.current")}
    return {**found, "limit": int(limit)} if limit.isdigit() else found


def _text(path: str) -> str:
    try:
        return read_text(path)
    except OSError:
        return ""


def _number(path: str) -> int:
    text = _text(path).strip()
    if text == "max":
        return _UNLIMITED
    return int(text) if text.removeprefix("-").isdigit() else 0


def _numbers(path: str) -> list[int]:
    return [int(word) for word in _text(path).split()]


def _list(path: str) -> list[int]:
    """Read a list of the kernel's, as 0-3,8."""
    found: list[int] = []
    for part in filter(None, _text(path).strip().split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def _counters(path: str) -> dict[str, int]:
    rows = (line.split() for line in _text(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) == 2}
