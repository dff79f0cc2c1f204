"""Limits of block devices, huge pages and the network as writes of control files, in order.

config-linux.md, Block IO, Huge page limits and Network; the names of v1 and v2 are the kernel's
(Documentation/admin-guide/cgroup-v1/blkio-controller.rst, cgroup-v2.rst).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.oci.runtime import (
    BlockIo,
    HugepageLimit,
    NetworkLimits,
    ThrottleDevice,
    WeightDevice,
)

_Write = tuple[str, str]


def block_v1(block: BlockIo, *, bfq: bool) -> Iterator[_Write]:
    """Return the writes of v1's blkio; ``bfq``: weights are those of the BFQ scheduler."""
    prefix = "blkio.bfq" if bfq else "blkio"
    if weight := block.get("weight"):
        yield f"{prefix}.weight", str(_weight(weight))
    if leaf := block.get("leafWeight"):
        yield "blkio.leaf_weight", str(_weight(leaf))
    for device in block.get("weightDevice") or []:
        if weight := device.get("weight"):
            yield f"{prefix}.weight_device", f"{_name(device)} {_weight(weight)}"
        if leaf := device.get("leafWeight"):
            yield "blkio.leaf_weight_device", f"{_name(device)} {_weight(leaf)}"
    for name, devices in (
        ("read_bps", block.get("throttleReadBpsDevice")),
        ("write_bps", block.get("throttleWriteBpsDevice")),
        ("read_iops", block.get("throttleReadIOPSDevice")),
        ("write_iops", block.get("throttleWriteIOPSDevice")),
    ):
        yield from _rates(f"blkio.throttle.{name}_device", "", devices)


def block_v2(block: BlockIo, *, bfq: bool) -> Iterator[_Write]:
    """Return the writes of v2's io controller; io.weight has a scale of its own (1 to 10000).

    :raises RuntimeFailure: for a leaf weight, which v2 does not have.
    """
    name = "io.bfq.weight" if bfq else "io.weight"
    if block.get("leafWeight"):
        raise RuntimeFailure("cannot set blockIO.leafWeight: cgroup v2 has none")
    if weight := block.get("weight"):
        yield name, str(_weight(weight) if bfq else io_weight(weight))
    for device in block.get("weightDevice") or []:
        if device.get("leafWeight"):
            raise RuntimeFailure("cannot set blockIO.leafWeight: cgroup v2 has none")
        if weight := device.get("weight"):
            yield name, f"{_name(device)} {_weight(weight) if bfq else io_weight(weight)}"
    for key, devices in (
        ("rbps=", block.get("throttleReadBpsDevice")),
        ("wbps=", block.get("throttleWriteBpsDevice")),
        ("riops=", block.get("throttleReadIOPSDevice")),
        ("wiops=", block.get("throttleWriteIOPSDevice")),
    ):
        yield from _rates("io.max", key, devices)


def _rates(file: str, key: str, devices: Sequence[ThrottleDevice] | None) -> Iterator[_Write]:
    """Return a write per device; a rate of 0 lifts the limit."""
    for device in devices or []:
        rate = device["rate"]
        if rate < 0:
            raise RuntimeFailure(f"cannot throttle device {_name(device)}: {rate} is no rate")
        lifted = "max" if key else "0"
        yield file, f"{_name(device)} {key}{rate or lifted}"


def _name(device: ThrottleDevice | WeightDevice) -> str:
    return f"{device['major']}:{device['minor']}"


def _weight(weight: int) -> int:
    if not 10 <= weight <= 1000:
        raise RuntimeFailure(f"cannot set a block I/O weight of {weight}: it is 10 to 1000")
    return weight


def io_weight(weight: int) -> int:
    """Return io.weight for a weight of 10 to 1000, as runc and crun do."""
    return 1 + (_weight(weight) - 10) * 9999 // 990


def huge_pages(limits: Sequence[HugepageLimit], suffix: str) -> Iterator[_Write]:
    """Return the writes for huge pages; ``suffix`` is "limit_in_bytes" (v1) or "max" (v2).

    :raises RuntimeFailure: for a page size that is none, as 2MB is one.
    """
    for limit in limits:
        size = limit["pageSize"]
        if not size.isalnum() or not size.isascii() or not size[:1].isdigit():
            raise RuntimeFailure(f'"{size}" is no size of a huge page')
        yield f"hugetlb.{size}.{suffix}", str(limit["limit"])


def network(limits: NetworkLimits) -> Iterator[tuple[str, str, str]]:
    """Return controller, file and value of each write of a container's network limits (v1).

    :raises RuntimeFailure: for a name that no interface has.
    """
    if limits.get("classID"):
        yield "net_cls", "net_cls.classid", str(limits["classID"])
    for item in limits.get("priorities") or []:
        if not item["name"] or item["name"].split() != [item["name"]]:
            raise RuntimeFailure(f'"{item["name"]}" is no name of an interface')
        yield "net_prio", "net_prio.ifpriomap", f"{item['name']} {item['priority']}"
