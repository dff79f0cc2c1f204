"""cgroup v2: one directory, every controller's limits in it."""

from __future__ import annotations

import contextlib
import math
import os
import signal

from orchestra.engine.linux.host import Hierarchy
from orchestra.engine.linux.process import read_text
from orchestra.engine.runtime import cgroup_files as files
from orchestra.engine.runtime.device_program import attach_device_program
from orchestra.engine.runtime.devices import cgroup_rules
from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.oci.runtime import Cpu, LinuxResources, Memory


class CgroupV2:
    """A container's cgroup at ``directory``."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    @classmethod
    def below(cls, unified: Hierarchy, path: str) -> CgroupV2:
        """Name the cgroup at ``path``, from where ``Hierarchy.base`` says."""
        return cls(unified.base() + path)

    def create(self) -> None:
        """Make the directory, with every controller handed down to it.

        :raises RuntimeFailure: when it cannot be made.
        """
        files.make_directory(self.directory, _delegate_from_parent)

    def apply(self, resources: LinuxResources) -> None:
        """Set the limits.

        :raises RuntimeFailure: when the kernel refuses one, or has no such controller.
        """
        self._apply_memory(resources.get("memory") or {})
        self._apply_cpu(resources.get("cpu") or {})
        if pids := resources.get("pids"):
            self._set("pids.max", "max" if pids["limit"] <= 0 else str(pids["limit"]))
        if resources.get("blockIO") or resources.get("hugepageLimits"):
            self._apply_blocks_and_pages(resources)
        for name, value in sorted((resources.get("unified") or {}).items()):
            if "/" in name:
                raise RuntimeFailure(f'"{name}" is no cgroup file')
            self._set(name, value)

    def _apply_blocks_and_pages(self, resources: LinuxResources) -> None:
        from orchestra.engine.runtime import cgroup_block as limits  # noqa: PLC0415 - seldom asked for

        bfq = os.access(f"{self.directory}/io.bfq.weight", os.F_OK)
        for name, value in limits.block_v2(resources.get("blockIO") or {}, bfq=bfq):
            self._set(name, value)
        for name, value in limits.huge_pages(resources.get("hugepageLimits") or (), "max"):
            self._set(name, value)

    def allow_devices(self, resources: LinuxResources) -> None:
        """Set which devices may be used.

        :raises RuntimeFailure: when the kernel refuses the program.
        """
        attach_device_program(self.directory, cgroup_rules(resources.get("devices")))

    def _set(self, name: str, value: str) -> None:
        files.write(self.directory, name, value)

    def _apply_memory(self, memory: Memory) -> None:
        limit, swap = memory.get("limit", 0), memory.get("swap", 0)
        if swap == -1:
            self._set("memory.swap.max", "max")
        elif swap:
            limit = limit or self._memory_limit()
            # config.json says memory plus swap, v2 wants swap alone.
            self._set("memory.swap.max", str(max(0, swap - max(limit, 0))))
        if limit:
            self._set("memory.max", "max" if limit < 0 else str(limit))
        if "reservation" in memory:
            self._set("memory.low", str(memory["reservation"]))

    def _memory_limit(self) -> int:
        """Return the limit that is set now; 0 where there is none."""
        try:
            return int(read_text(f"{self.directory}/memory.max"))
        except (OSError, ValueError):
            return 0

    def _apply_cpu(self, cpu: Cpu) -> None:
        if shares := cpu.get("shares"):
            self._set("cpu.weight", str(weight_of_shares(shares)))
        if "quota" in cpu or "period" in cpu:
            quota, period = self._cpu_maximum()
            if wanted := cpu.get("quota"):
                quota = "max" if wanted < 0 else str(wanted)
            self._set("cpu.max", f"{quota} {cpu.get('period') or period}")
        if cpu.get("realtimeRuntime") or cpu.get("realtimePeriod"):
            raise RuntimeFailure("cannot set cpu.realtimeRuntime: cgroup v2 has none")
        if burst := cpu.get("burst"):
            self._set("cpu.max.burst", str(burst))
        if idle := cpu.get("idle"):
            self._set("cpu.idle", str(idle))
        for key in ("cpus", "mems"):
            value = cpu.get(key)
            if value:
                self._set(f"cpuset.{key}", str(value))

    def _cpu_maximum(self) -> tuple[str, str]:
        """Return the quota and period that are set now."""
        try:
            quota, period = read_text(f"{self.directory}/cpu.max").split()
        except (OSError, ValueError):
            return "max", "100000"
        return quota, period

    def open(self) -> int:
        """Return a descriptor of the directory, for clone3(CLONE_INTO_CGROUP)."""
        return os.open(self.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def join(self) -> None:
        """Move the calling process into the cgroup.

        :raises RuntimeFailure: when it is not let in.
        """
        self._set("cgroup.procs", "0")

    def pids(self) -> list[int]:
        """Return the processes in the cgroup and below it."""
        return files.pids_below(self.directory)

    def freeze(self, *, frozen: bool) -> None:
        """Stop or resume every process.

        :raises RuntimeFailure: when it cannot be done.
        """
        self._set("cgroup.freeze", "1" if frozen else "0")

    def is_frozen(self) -> bool:
        """Tell whether every process is stopped."""
        return files.counter(f"{self.directory}/cgroup.events", "frozen") == 1

    def kill(self) -> None:
        """Send SIGKILL to all: in one write from Linux 5.14, else one by one."""
        try:
            self._set("cgroup.kill", "1")
        except RuntimeFailure:
            for pid in self.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def oom_kills(self) -> int:
        """Return how many processes the memory limit has killed."""
        return files.counter(f"{self.directory}/memory.events", "oom_kill")

    def delete(self) -> None:
        """Remove the directory, and parents of ours that are empty."""
        files.remove_directory(self.directory)

    def prune(self) -> None:
        """Remove the directory where it is empty, and parents of ours that then are."""
        files.prune(self.directory)


def _delegate_from_parent(directory: str) -> None:
    """Hand every controller of the parent down, one by one: some may be refused (EBUSY)."""
    parent = directory.rpartition("/")[0]
    for controller in read_text(f"{parent}/cgroup.controllers").split():
        with contextlib.suppress(RuntimeFailure):
            files.write(parent, "cgroup.subtree_control", f"+{controller}")


def weight_of_shares(shares: int) -> int:
    """Return cpu.weight for v1's cpu.shares, so that the defaults agree (1024 is 100).

    The curve that runc and crun use since 2025: 2 is 1, 262144 is 10000.
    """
    shares = min(max(shares, 2), 262144)
    if shares == 2:
        return 1
    exponent = math.log2(shares)
    return math.ceil(10 ** ((exponent * exponent + 125 * exponent) / 612.0 - 7.0 / 34.0))
