"""Limits that no container can have, or none on this host: told by key before anything is made.

As moby's verifyPlatformContainerResources (daemon/daemon_unix.go), which knows the same numbers.
Pure: how many processors there are, and which, are arguments.
"""

from __future__ import annotations

from collections.abc import Iterator

from orchestra.planner.desired import ContainerSpec
from orchestra.planner.limits import Resources

_LEAST_MEMORY = 6 << 20
_LEAST_US = 1000
_MOST_US = 1_000_000
_SHARES = 10, 1000


def impossible(spec: ContainerSpec, *, cpus: int, online: str) -> tuple[str, str] | None:
    """Return the first key of a limit that cannot be had, and why; None where there is none.

    ``online`` lists the numbers of the processors that there are ("0-3,6").
    """
    limits = spec.resources
    found = [*_memory(limits), *_processor(limits, cpus, online), *_rest(spec)]
    return found[0] if found else None


def _memory(limits: Resources) -> Iterator[tuple[str, str]]:
    memory, reserved = limits.memory_bytes or 0, limits.memory_reservation_bytes or 0
    swap = limits.memory_swap_bytes or 0
    if 0 < memory < _LEAST_MEMORY:
        yield "mem_limit", "the least is 6 MiB"
    if 0 < reserved < _LEAST_MEMORY:
        yield "mem_reservation", "the least is 6 MiB"
    if 0 < memory < reserved:
        yield "mem_reservation", "it is more than mem_limit"
    if swap > 0 and not memory:
        yield "memswap_limit", "it needs a mem_limit"
    if 0 < swap < memory:
        yield "memswap_limit", "it is memory and swap together, and less than mem_limit"


def _processor(limits: Resources, cpus: int, online: str) -> Iterator[tuple[str, str]]:
    if limits.cpus is not None and not 0 <= limits.cpus <= cpus:
        yield "cpus", f"the range is 0.01 to {cpus}, as there are only {cpus} processors"
    if limits.cpu_period_us and not _LEAST_US <= limits.cpu_period_us <= _MOST_US:
        yield "cpu_period", "it is 1 ms to 1 s"
    if limits.cpu_quota_us and 0 < limits.cpu_quota_us < _LEAST_US:
        yield "cpu_quota", "the least is 1 ms"
    if limits.cpuset:
        wanted = numbers(limits.cpuset)
        if wanted is None:
            yield "cpuset", f'"{limits.cpuset}" is no list of processors as "0-2,4"'
        elif not wanted <= (numbers(online) or frozenset()):
            yield "cpuset", f'"{limits.cpuset}" is not available, which is: {online}'


def _rest(spec: ContainerSpec) -> Iterator[tuple[str, str]]:
    weight = spec.resources.block_io.weight
    if weight and not _SHARES[0] <= weight <= _SHARES[1]:
        yield "blkio_config", f"the weight {weight} is not one of {_SHARES[0]} to {_SHARES[1]}"
    if spec.shm_size_bytes is not None and spec.shm_size_bytes < 0:
        yield "shm_size", "it is less than 0"


def numbers(text: str) -> frozenset[int] | None:
    """Return the numbers of a list like "0-2,4" (cpuset(7)); None for what is none."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and (last.isdecimal() if dash else True)):
            return None
        top = int(last) if dash else int(first)
        if not int(first) <= top < 1 << 16:
            return None
        found.update(range(int(first), top + 1))
    return frozenset(found)
