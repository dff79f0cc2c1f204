"""cgroup v1 hierarchies: one directory per controller, limits under their v1 names."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Iterator
from itertools import groupby

from orchestra.engine.linux.host import Hierarchy
from orchestra.engine.linux.process import read_text
from orchestra.engine.runtime import cgroup_files as files
from orchestra.engine.runtime.devices import cgroup_rules, v1_entry
from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.oci.runtime import Cpu, LinuxResources, Memory


class CgroupV1:
    """A container's cgroup in every v1 hierarchy; ``directories`` by controller."""

    def __init__(self, directories: dict[str, str]) -> None:
        self.directories = directories

    @classmethod
    def below(cls, hierarchies: Iterable[Hierarchy], path: str) -> CgroupV1:
        """Name the cgroup at ``path`` in each hierarchy, from where ``Hierarchy.base`` says."""
        return cls({item.name: item.base() + path for item in hierarchies})

    def _unique(self) -> Iterator[tuple[str, str]]:
        """Yield controller and directory, once for controllers that are mounted together."""
        seen = set()
        for name, directory in self.directories.items():
            if directory not in seen:
                seen.add(directory)
                yield name, directory

    def create(self) -> None:
        """Make the directories.

        :raises RuntimeFailure: when one cannot be made.
        """
        for name, directory in self._unique():
            files.make_directory(directory, _copy_cpuset if name == "cpuset" else None)

    def take(self, other: CgroupV1) -> None:
        """Let another one, beside this, have this one's name, with all that is in it.

        An old one is replaced, for its counters. cgroup v2 has no such renaming.

        :raises RuntimeFailure: when it is refused, or this one is in use.
        """
        for (_, theirs), (_, ours) in zip(other._unique(), self._unique(), strict=True):
            files.rename_directory(theirs, ours)

    def sweep(self, prefix: str) -> None:
        """Remove what is empty below it and has a name that begins so."""
        for _, directory in self._unique():
            files.sweep(directory, prefix)

    def apply(self, resources: LinuxResources) -> None:
        """Set the limits.

        :raises RuntimeFailure: when the kernel refuses one, or has no such controller.
        """
        self._apply_memory(resources.get("memory") or {})
        self._apply_cpu(resources.get("cpu") or {})
        if pids := resources.get("pids"):
            limit = pids["limit"]
            self._set("pids", "pids.max", "max" if limit <= 0 else str(limit))
        if resources.get("blockIO") or resources.get("hugepageLimits") or resources.get("network"):
            self._apply_seldom(resources)
        if resources.get("unified"):
            raise RuntimeFailure("cannot set unified cgroup limits: this host has cgroup v1")

    def _apply_seldom(self, resources: LinuxResources) -> None:
        from orchestra.engine.runtime import cgroup_block as limits  # noqa: PLC0415 - seldom asked for

        bfq = os.access(f"{self.directories.get('blkio')}/blkio.bfq.weight", os.F_OK)
        for name, value in limits.block_v1(resources.get("blockIO") or {}, bfq=bfq):
            self._set("blkio", name, value)
        pages = resources.get("hugepageLimits") or ()
        for name, value in limits.huge_pages(pages, "limit_in_bytes"):
            self._set("hugetlb", name, value)
        for controller, name, value in limits.network(resources.get("network") or {}):
            self._set(controller, name, value)

    def allow_devices(self, resources: LinuxResources) -> None:
        """Set which devices may be used, where the host has the controller.

        :raises RuntimeFailure: when the kernel refuses a rule.
        """
        directory = self.directories.get("devices")
        if directory is None:
            return
        rules = cgroup_rules(resources.get("devices"))
        for allow, same in groupby(rules, lambda rule: rule["allow"]):
            name = "devices.allow" if allow else "devices.deny"
            files.write_all(directory, name, map(v1_entry, same))

    def _set(self, controller: str, name: str, value: str) -> None:
        directory = self.directories.get(controller)
        if directory is None:
            raise RuntimeFailure(f"cannot set {name}: this host has no {controller} cgroup")
        files.write(directory, name, value)

    def _apply_memory(self, memory: Memory) -> None:
        limit, swap = memory.get("limit", 0), memory.get("swap", 0)
        writes = [("memory.limit_in_bytes", limit), ("memory.memsw.limit_in_bytes", swap)]
        # The sum is never below the limit, at no time: which goes first depends on the way.
        if limit and swap and (swap == -1 or swap > self._memory_limit()):
            writes.reverse()
        for name, value in writes:
            if value:
                self._set("memory", name, str(value))
        if "reservation" in memory:
            self._set("memory", "memory.soft_limit_in_bytes", str(memory["reservation"]))
        if "swappiness" in memory:
            self._set("memory", "memory.swappiness", str(memory["swappiness"]))
        # The kernel takes the first and does nothing any more; what it says counts.
        if kernel := memory.get("kernel"):
            self._set("memory", "memory.kmem.limit_in_bytes", str(kernel))
        if tcp := memory.get("kernelTCP"):
            self._set("memory", "memory.kmem.tcp.limit_in_bytes", str(tcp))
        if memory.get("disableOOMKiller"):
            self._set("memory", "memory.oom_control", "1")

    def _memory_limit(self) -> int:
        """Return the limit that is set now."""
        directory = self.directories.get("memory")
        if directory is None:
            return 0
        return int(read_text(f"{directory}/memory.limit_in_bytes"))

    def _apply_cpu(self, cpu: Cpu) -> None:
        for key, name in (
            ("shares", "cpu.shares"),
            ("period", "cpu.cfs_period_us"),
            ("quota", "cpu.cfs_quota_us"),
            ("burst", "cpu.cfs_burst_us"),
            ("realtimePeriod", "cpu.rt_period_us"),
            ("realtimeRuntime", "cpu.rt_runtime_us"),
            ("idle", "cpu.idle"),
        ):
            value = cpu.get(key)
            if value or (value == 0 and key in {"burst", "idle"}):
                self._set("cpu", name, str(value))
        for key in ("cpus", "mems"):
            value = cpu.get(key)
            if value:
                self._set("cpuset", f"cpuset.{key}", str(value))

    def join(self) -> None:
        """Move the calling single-threaded process into the cgroup.

        A thread that names itself ("0" in tasks) does not wait for the RCU grace period that a
        pid in cgroup.procs does: 0.1 ms instead of 10.

        :raises RuntimeFailure: when it is not let in.
        """
        for _, directory in self._unique():
            files.write(directory, "tasks", "0")

    def pids(self) -> list[int]:
        """Return the processes in the cgroup and below it."""
        controller = "pids" if "pids" in self.directories else next(iter(self.directories), "")
        return files.pids_below(self.directories[controller]) if controller else []

    def freeze(self, *, frozen: bool) -> None:
        """Stop or resume every process.

        :raises RuntimeFailure: when there is no freezer.
        """
        self._set("freezer", "freezer.state", "FROZEN" if frozen else "THAWED")

    def is_frozen(self) -> bool:
        """Tell whether every process is stopped."""
        try:
            return read_text(f"{self.directories['freezer']}/freezer.state").strip() == "FROZEN"
        except (KeyError, OSError):
            return False

    def kill(self) -> None:
        """Send SIGKILL to all, frozen meanwhile so that none can fork away."""
        freezer = "freezer" in self.directories
        if freezer:
            with contextlib.suppress(RuntimeFailure):
                self.freeze(frozen=True)
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if freezer:
            with contextlib.suppress(RuntimeFailure):
                self.freeze(frozen=False)

    def oom_kills(self) -> int:
        """Return how many processes the memory limit has killed."""
        directory = self.directories.get("memory", "")
        return files.counter(f"{directory}/memory.oom_control", "oom_kill") if directory else 0

    def delete(self) -> None:
        """Remove the directories, and parents of ours that are empty."""
        for _, directory in self._unique():
            files.remove_directory(directory)

    def prune(self) -> None:
        """Remove the directories where they are empty, and parents of ours that then are."""
        for _, directory in self._unique():
            files.prune(directory)


def _copy_cpuset(directory: str) -> None:
    """Fill a new cpuset from its parent: with empty ones no process may enter.

    A parent that another start has just made, and not filled yet, is filled first.
    """
    parent = directory.rpartition("/")[0]
    for name in ("cpuset.cpus", "cpuset.mems"):
        if not read_text(f"{directory}/{name}").strip():
            if not read_text(f"{parent}/{name}").strip():
                _copy_cpuset(parent)
            files.write(directory, name, read_text(f"{parent}/{name}").strip())
