"""Limits that cannot be had are told by key; moby's numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.engine.container.limit_checks import impossible, numbers
from orchestra.planner.desired import ContainerSpec
from orchestra.planner.limits import BlockIo, Resources

MIB = 1 << 20


def spec(limits: Resources, shm: int | None = None) -> ContainerSpec:
    return ContainerSpec(
        project="p",
        service="s",
        number=1,
        name="p-s-1",
        image="x",
        config_hash="",
        resources=limits,
        shm_size_bytes=shm,
    )


@pytest.mark.parametrize(
    ("limits", "key"),
    [
        (Resources(memory_bytes=6 * MIB - 1), "mem_limit"),
        (Resources(memory_bytes=6 * MIB), None),
        (Resources(memory_reservation_bytes=MIB), "mem_reservation"),
        (Resources(memory_bytes=8 * MIB, memory_reservation_bytes=9 * MIB), "mem_reservation"),
        (Resources(memory_reservation_bytes=9 * MIB), None),
        (Resources(memory_bytes=8 * MIB, memory_swap_bytes=7 * MIB), "memswap_limit"),
        (Resources(memory_swap_bytes=7 * MIB), "memswap_limit"),
        (Resources(memory_bytes=8 * MIB, memory_swap_bytes=-1), None),
        (Resources(memory_swap_bytes=-1), None),
        (Resources(cpus=4.01), "cpus"),
        (Resources(cpus=4.0), None),
        (Resources(cpus=-1.0), "cpus"),
        (Resources(cpu_period_us=999), "cpu_period"),
        (Resources(cpu_period_us=1_000_001), "cpu_period"),
        (Resources(cpu_quota_us=999), "cpu_quota"),
        (Resources(cpu_quota_us=-1), None),
        (Resources(cpuset="0-2,6"), None),
        (Resources(cpuset="4"), "cpuset"),
        (Resources(cpuset="2-1"), "cpuset"),
        (Resources(cpuset="a"), "cpuset"),
        (Resources(cpuset="0-99999999999"), "cpuset"),
        (Resources(block_io=BlockIo(weight=9)), "blkio_config"),
        (Resources(block_io=BlockIo(weight=1000)), None),
    ],
    ids=str,
)
def test_what_cannot_be_limited(limits: Resources, key: str | None) -> None:
    found = impossible(spec(limits), cpus=4, online="0-3,6")
    assert (found[0] if found else None) == key


def test_shared_memory_is_not_negative() -> None:
    assert impossible(spec(Resources(), shm=-5), cpus=1, online="0") == (
        "shm_size",
        "it is less than 0",
    )
    assert impossible(spec(Resources(), shm=0), cpus=1, online="0") is None


@given(st.frozensets(st.integers(0, 300), min_size=1))
def test_a_list_of_numbers_is_read_back(found: frozenset[int]) -> None:
    assert numbers(",".join(map(str, sorted(found)))) == found
