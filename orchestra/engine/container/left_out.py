"""Limits that a container goes without where this host's kernel has no such thing, said by name.

Those that Docker Engine leaves out with a warning (moby's verifyPlatformContainerResources): a file
that works there works here. What it refuses is refused (cgroups.py, check_limits).
"""

from __future__ import annotations

import os
from pathlib import Path

from orchestra.engine.linux import host
from orchestra.planner.limits import BlockLimit, Resources
from orchestra.values import dataclass, replace

_NO_WEIGHTS = "the kernel has no weights of block I/O here; `modprobe bfq` may bring them"


@dataclass(frozen=True, slots=True)
class Possible:
    """The limits that this host can have, and a line about each that it cannot, or should not."""

    resources: Resources
    remarks: tuple[str, ...] = ()


def possible(limits: Resources) -> Possible:
    """Return the limits without those that this host's cgroups do not have."""
    weights = limits.block_io.weight or limits.block_io.weights
    if not (limits.oom_kill_disable or weights or limits.memory_swappiness is not None):
        return Possible(limits)
    cgroups = host.cgroups()
    remarks: list[str] = []
    if cgroups.controller("memory") is None:
        limits = _without_v1(limits, remarks)
    elif limits.oom_kill_disable and not limits.memory_bytes:
        remarks.append(
            "oom_kill_disable without mem_limit lets it take all memory of this host, where the "
            "kernel kills others: set mem_limit"
        )
    if weights:
        limits = _with_weights(limits, cgroups, remarks)
    return Possible(limits, tuple(remarks))


def _without_v1(limits: Resources, remarks: list[str]) -> Resources:
    """Leave out what the memory controller of cgroup v1 alone has."""
    if limits.oom_kill_disable:
        remarks.append(
            "oom_kill_disable is left out: cgroup v2 has no such switch; oom_score_adj lets the "
            "kernel choose others first"
        )
    if limits.memory_swappiness is not None:
        remarks.append(
            "mem_swappiness is left out: cgroup v2 has none; memswap_limit says how much is swapped"
        )
    return replace(limits, oom_kill_disable=False, memory_swappiness=None)


def _with_weights(limits: Resources, cgroups: host.Cgroups, remarks: list[str]) -> Resources:
    block = limits.block_io
    bfq, cost = _bfq(cgroups), _cost(cgroups)
    if block.weight and not bfq and cost is None:
        remarks.append(f"blkio_config.weight is left out: {_NO_WEIGHTS}")
        block = replace(block, weight=None)
    kept = []
    for device in block.weights:
        why = _NO_WEIGHTS if not bfq and cost is None else _unweighable(device, bfq, cost or "")
        if why:
            what = f'blkio_config.weight_device "{device.path}"'
            remarks.append(f"{what} is left out: {why}")
        else:
            kept.append(device)
    return replace(limits, block_io=replace(block, weights=tuple(kept)))


def _bfq(cgroups: host.Cgroups) -> bool:
    """Tell whether cgroups have the weights of the BFQ scheduler."""
    if (v1 := cgroups.controller("blkio")) is not None:
        return Path(v1.base(), "blkio.bfq.io_service_bytes").exists()
    if cgroups.unified is None:
        return False
    return any(Path(cgroups.unified.base()).glob("*/io.bfq.weight"))


def _cost(cgroups: host.Cgroups) -> str | None:
    """Return which disks have the weights of cgroup v2's cost model; None where it is not there."""
    if cgroups.controller("blkio") is not None or cgroups.unified is None:
        return None
    try:
        return Path(cgroups.unified.base(), "io.cost.qos").read_text(encoding="ascii")
    except OSError:
        return None


def _unweighable(device: BlockLimit, bfq: bool, cost: str) -> str:  # noqa: FBT001
    """Return why a device has no weights; "" where it has, or that is for the kernel to say."""
    try:
        number = Path(device.path).stat().st_rdev
    except OSError:
        return ""
    name = f"{os.major(number)}:{os.minor(number)}"
    if not bfq:
        known = {line.partition(" ")[0] for line in cost.splitlines()}
        return "" if name in known else "io.cost.qos of cgroup v2 does not have it"
    queue = Path("/sys/dev/block", name, "queue/scheduler")
    try:
        words = queue.read_text(encoding="ascii").split()
    except OSError:
        return ""
    used = next((word.strip("[]") for word in words if word.startswith("[")), "none")
    if used == "bfq":
        return ""
    return f"its I/O scheduler is {used}; `echo bfq > {queue}` would bring weights"
