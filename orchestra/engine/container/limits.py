"""Limits and devices of a container in the terms of config.json. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestra.errors import ContainerError
from orchestra.oci.runtime import BlockIo, Cpu, Device, DeviceRule, LinuxResources, Memory, Rlimit
from orchestra.planner.building import Ulimit
from orchestra.planner.desired import Resources

_CPU_PERIOD_US = 100_000
_ULIMITS = frozenset(
    {"core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc"}
    | {"rss", "rtprio", "rttime", "sigpending", "stack"}
)
_UNLIMITED = 2**64 - 1
_RULE = re.compile(r"([acb]) (\d+|\*):(\d+|\*) ([rwm]{1,3})")


def _rule(kind: str, major: int | None, minor: int | None, access: str = "rwm") -> DeviceRule:
    rule: DeviceRule = {"allow": True, "access": access}
    rule["type"] = "c" if kind == "c" else "b"
    if major is not None:
        rule["major"] = major
    if minor is not None:
        rule["minor"] = minor
    return rule


DEFAULT_DEVICE_RULES: tuple[DeviceRule, ...] = (
    {"allow": False, "access": "rwm"},
    _rule("c", None, None, "m"),
    _rule("b", None, None, "m"),
    _rule("c", 1, 3),
    _rule("c", 1, 5),
    _rule("c", 1, 7),
    _rule("c", 1, 8),
    _rule("c", 1, 9),
    _rule("c", 5, 0),
    _rule("c", 5, 1),
    _rule("c", 5, 2),
    _rule("c", 136, None),
)
"""Nothing, but making nodes, null, zero, full, random, urandom, tty, console, ptmx and pts."""


def device_rules(
    devices: Sequence[tuple[Device, str]], texts: Sequence[str], *, privileged: bool
) -> list[DeviceRule]:
    """Return the device cgroup's rules; ``devices`` come with their permissions.

    :raises ContainerError: for a rule that is not of the form "c 1:3 rwm".
    """
    if privileged:
        return [{"allow": True, "access": "rwm"}]
    rules = list(DEFAULT_DEVICE_RULES)
    for device, permissions in devices:
        rules.append(_rule(device["type"], device.get("major"), device.get("minor"), permissions))
    return rules + [_parse_rule(text) for text in texts]


def _parse_rule(text: str) -> DeviceRule:
    match = _RULE.fullmatch(text.strip())
    if not match:
        raise ContainerError(
            f'"{text}" is not a device cgroup rule', hint='write it as "c 1:3 rwm" or "b 8:* r"'
        )
    kind, major, minor, access = match.groups()
    rule: DeviceRule = {"allow": True, "access": access}
    rule["type"] = "a" if kind == "a" else "c" if kind == "c" else "b"
    if major != "*":
        rule["major"] = int(major)
    if minor != "*":
        rule["minor"] = int(minor)
    return rule


def linux_resources(
    limits: Resources, devices: list[DeviceRule], block_io: BlockIo | None = None
) -> LinuxResources:
    """Return config-linux.md's resources; ``block_io`` has the numbers of the host's devices."""
    resources: LinuxResources = {"devices": devices}
    if memory := _memory(limits):
        resources["memory"] = memory
    if cpu := _cpu(limits):
        resources["cpu"] = cpu
    if limits.pids is not None and limits.pids != 0:
        resources["pids"] = {"limit": limits.pids}
    if block_io:
        resources["blockIO"] = block_io
    return resources


def _memory(limits: Resources) -> Memory:
    """Return memory limits; as in Docker, swap is as much again where only memory is limited."""
    memory: Memory = {}
    if limits.memory_bytes:
        memory["limit"] = limits.memory_bytes
        memory["swap"] = 2 * limits.memory_bytes
    if limits.memory_swap_bytes:
        memory["swap"] = limits.memory_swap_bytes
    if limits.memory_reservation_bytes:
        memory["reservation"] = limits.memory_reservation_bytes
    if limits.oom_kill_disable:
        memory["disableOOMKiller"] = True
    return memory


def _cpu(limits: Resources) -> Cpu:
    cpu: Cpu = {}
    if limits.cpus:
        cpu["period"] = _CPU_PERIOD_US
        cpu["quota"] = round(limits.cpus * _CPU_PERIOD_US)
    if limits.cpu_period_us:
        cpu["period"] = limits.cpu_period_us
    if limits.cpu_quota_us:
        cpu["quota"] = limits.cpu_quota_us
    if limits.cpu_shares:
        cpu["shares"] = limits.cpu_shares
    if limits.cpuset:
        cpu["cpus"] = limits.cpuset
    return cpu


def rlimits(ulimits: Sequence[Ulimit]) -> list[Rlimit]:
    """Return process.rlimits, by name; -1 is no limit.

    :raises ContainerError: for a name that setrlimit(2) does not know, or a soft above its hard.
    """
    result: list[Rlimit] = []
    for ulimit in sorted(ulimits, key=lambda ulimit: ulimit.name):
        if ulimit.name not in _ULIMITS:
            names = ", ".join(sorted(_ULIMITS))
            raise ContainerError(f'unknown ulimit "{ulimit.name}"', hint=f"known are {names}")
        soft, hard = (_UNLIMITED if value < 0 else value for value in (ulimit.soft, ulimit.hard))
        if soft > hard:
            raise ContainerError(f'ulimit "{ulimit.name}": soft {ulimit.soft} is above its hard')
        result.append({"type": f"RLIMIT_{ulimit.name.upper()}", "soft": soft, "hard": hard})
    return result
