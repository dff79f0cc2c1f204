"""How the kernel schedules a container's process: its policy, its I/O priority, its personality.

What they mean is found while errors are cheap; they are set inside, as root, before the walls.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from orchestra.engine.linux import syscalls
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.oci.runtime import IoPriority, Personality, Process, Scheduler
from orchestra.values import dataclass

_POLICIES: Mapping[str, int] = {
    "SCHED_OTHER": 0,
    "SCHED_FIFO": 1,
    "SCHED_RR": 2,
    "SCHED_BATCH": 3,
    "SCHED_ISO": 4,
    "SCHED_IDLE": 5,
    "SCHED_DEADLINE": 6,
}
_FLAGS: Mapping[str, int] = {
    "SCHED_FLAG_RESET_ON_FORK": 0x01,
    "SCHED_FLAG_RECLAIM": 0x02,
    "SCHED_FLAG_DL_OVERRUN": 0x04,
    "SCHED_FLAG_KEEP_POLICY": 0x08,
    "SCHED_FLAG_KEEP_PARAMS": 0x10,
    "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
    "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
}
_CLASSES: Mapping[str, int] = {"IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3}
_CLASS_SHIFT = 13
_DOMAINS: Mapping[str, int] = {"LINUX": 0, "LINUX32": 8}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduling:
    """What to tell the kernel; None and empty: nothing."""

    attributes: bytes = b""
    io_priority: int | None = None
    personality: int | None = None

    def apply(self) -> None:
        """Tell it.

        :raises RuntimeFailure: when the kernel refuses.
        """
        what = "set the personality"
        try:
            if self.personality is not None:
                syscalls.personality(self.personality)
            what = "set the scheduler"
            if self.attributes:
                syscalls.sched_setattr(self.attributes)
            what = "set the I/O priority"
            if self.io_priority is not None:
                syscalls.ioprio_set(self.io_priority)
        except OSError as err:
            raise failed(what, err) from err


def plan_scheduling(process: Process, personality: Personality | None) -> Scheduling:
    """Return what a process asks for.

    :raises RuntimeFailure: for what the kernel has no word for.
    """
    scheduler, io = process.get("scheduler"), process.get("ioPriority")
    return Scheduling(
        attributes=_attributes(scheduler) if scheduler else b"",
        io_priority=_io_priority(io) if io else None,
        personality=_domain(personality) if personality else None,
    )


def _number(names: Mapping[str, int], name: str, what: str) -> int:
    number = names.get(name)
    if number is None:
        raise RuntimeFailure(f'unknown {what} "{name}"')
    return number


def _attributes(scheduler: Scheduler) -> bytes:
    """Return struct sched_attr (man 2 sched_setattr)."""
    policy = _number(_POLICIES, scheduler.get("policy", ""), "scheduling policy")
    flags = 0
    for name in scheduler.get("flags") or []:
        flags |= _number(_FLAGS, name, "scheduling flag")
    nice, priority = scheduler.get("nice", 0), scheduler.get("priority", 0)
    times = [scheduler.get("runtime", 0), scheduler.get("deadline", 0), scheduler.get("period", 0)]
    if not -20 <= nice <= 19:
        raise RuntimeFailure(f"cannot set the scheduler: nice {nice} is not -20 to 19")
    if not 0 <= priority <= 99:
        raise RuntimeFailure(f"cannot set the scheduler: priority {priority} is not 0 to 99")
    if priority and policy not in {_POLICIES["SCHED_FIFO"], _POLICIES["SCHED_RR"]}:
        raise RuntimeFailure("cannot set the scheduler: a priority is for SCHED_FIFO and SCHED_RR")
    if any(times) and policy != _POLICIES["SCHED_DEADLINE"]:
        raise RuntimeFailure("cannot set the scheduler: times are for SCHED_DEADLINE")
    if any(not 0 <= time < 2**64 for time in times):
        raise RuntimeFailure("cannot set the scheduler: a time is out of range")
    layout = "IIQiIQQQ"
    return struct.pack(layout, struct.calcsize(layout), policy, flags, nice, priority, *times)


def _io_priority(io: IoPriority) -> int:
    level = io.get("priority", 0)
    if not 0 <= level <= 7:
        raise RuntimeFailure(f"cannot set the I/O priority: {level} is not 0 to 7")
    return _number(_CLASSES, io["class"], "I/O priority class") << _CLASS_SHIFT | level


def _domain(personality: Personality) -> int:
    if personality.get("flags"):
        raise RuntimeFailure("flags of a personality are not supported")
    return _number(_DOMAINS, personality.get("domain", ""), "personality")
