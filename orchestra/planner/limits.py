"""What a container may use of the host, resolved: part of the seam in desired.py."""

from __future__ import annotations

from collections.abc import Mapping

from orchestra.values import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSpec:
    """A host device made visible; ``permissions`` of rwm."""

    source: str
    target: str
    permissions: str = "rwm"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRequest:
    """Devices by what they can do, or, with driver "cdi", by name; ``count`` -1 is all."""

    driver: str = ""
    count: int = 0
    device_ids: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ulimit:
    """One resource limit by its ulimit(1) name ("nofile")."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockLimit:
    """A number for one block device of the host: a weight, bytes or operations a second."""

    path: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockIo:
    """Limits of block devices; a ``weight`` is 10 to 1000."""

    weight: int | None = None
    weights: tuple[BlockLimit, ...] = ()
    read_bps: tuple[BlockLimit, ...] = ()
    write_bps: tuple[BlockLimit, ...] = ()
    read_iops: tuple[BlockLimit, ...] = ()
    write_iops: tuple[BlockLimit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Limits; None means none. cpus in units of one processor, sizes in bytes."""

    cpus: float | None = None
    cpu_shares: int | None = None
    cpu_quota_us: int | None = None
    cpu_period_us: int | None = None
    cpu_rt_runtime_us: int | None = None
    cpu_rt_period_us: int | None = None
    cpuset: str | None = None
    memory_bytes: int | None = None
    memory_reservation_bytes: int | None = None
    memory_swap_bytes: int | None = None
    memory_swappiness: int | None = None
    block_io: BlockIo = BlockIo()
    pids: int | None = None
    oom_kill_disable: bool = False
    oom_score_adj: int | None = None
