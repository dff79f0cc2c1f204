"""cgroup v2: one directory, every controller's limits in it."""

from __future__ import annotations

import contextlib
import errno
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
        """Make the directory, and have every controller handed down to it.

        :raises RuntimeFailure: when it cannot be made.
        """
        files.make_directory(self.directory)
        _hand_down(self.directory)

    def apply(self, resources: LinuxResources) -> None:
        """Set the limits.

        :raises RuntimeFailure: when the kernel refuses one, or has no such controller.
        """
        self._apply_memory(resources.get("memory") or {})
        self._apply_cpu(resources.get("cpu") or {})
        if pids := resources.get("pids"):
            self._set("pids.max", _or_max(pids["limit"] or -1))
        if resources.get("blockIO") or resources.get("hugepageLimits"):
            self._apply_blocks_and_pages(resources)
        for name, value in sorted((resources.get("unified") or {}).items()):
            if "/" in name:
                raise RuntimeFailure(f'"{name}" is no cgroup file')
            for line in value.splitlines():  # the kernel takes one at a time
                self._set(name, line)

    def _apply_blocks_and_pages(self, resources: LinuxResources) -> None:
        from orchestra.engine.runtime import cgroup_block as limits  # noqa: PLC0415 - seldom asked for

        bfq = os.access(f"{self.directory}/io.bfq.weight", os.F_OK)
        for name, value in limits.block_v2(resources.get("blockIO") or {}, bfq=bfq):
            self._set(name, value)
        for name, value in limits.huge_pages(resources.get("hugepageLimits") or (), "max"):
            self._set(name, value)
            reserved = f"{name.removesuffix('.max')}.rsvd.max"
            if os.access(f"{self.directory}/{reserved}", os.F_OK):
                self._set(reserved, value)

    def allow_devices(self, resources: LinuxResources) -> None:
        """Set which devices may be used.

        :raises RuntimeFailure: when the kernel refuses the program.
        """
        attach_device_program(self.directory, cgroup_rules(resources.get("devices")))

    def _set(self, name: str, value: str) -> None:
        try:
            files.write(self.directory, name, value)
        except RuntimeFailure as failure:
            controller = name.partition(".")[0]
            if failure.errno != errno.ENOENT or controller in self._controllers():
                raise
            raise RuntimeFailure(
                f'cannot set {name} to "{value}": the cgroup has no {controller} controller',
                errno=errno.ENOENT,
            ) from failure

    def _controllers(self) -> list[str]:
        try:
            return ["cgroup", *read_text(f"{self.directory}/cgroup.controllers").split()]
        except OSError:
            return []

    def _apply_memory(self, memory: Memory) -> None:
        limit = memory.get("limit") or 0
        swap = self._swap_alone(limit, memory.get("swap") or 0)
        if swap is not None:
            try:
                self._set("memory.swap.max", swap)
            except RuntimeFailure as failure:
                # A kernel without swap keeps to none of it, and to all.
                if failure.errno != errno.ENOENT or swap not in {"0", "max"}:
                    raise
        if limit:
            self._set("memory.max", _or_max(limit))
        if reservation := memory.get("reservation"):
            self._set("memory.low", _or_max(reservation))

    def _swap_alone(self, limit: int, swap: int) -> str | None:
        """Return memory.swap.max; config.json's ``swap`` is memory and swap together, as in v1.

        Where only the memory's limit changes the sum stays, as v1 and runc have it.

        :raises RuntimeFailure: for a sum that is below the memory's limit, or has no such.
        """
        if swap < 0 or (limit < 0 and not swap):
            return "max"
        before = self._number("memory.max")
        if not swap:
            alone = self._number("memory.swap.max")
            if limit <= 0 or before is None or alone is None:
                return None
            swap = before + alone
        limit = limit or before or 0
        if limit == 0:
            raise RuntimeFailure("cannot limit swap: the memory has no limit")
        if 0 < swap < limit:
            raise RuntimeFailure(
                f"cannot limit memory and swap to {swap}: the limit of the memory alone is {limit}"
            )
        return str(swap - max(limit, 0))

    def _number(self, name: str) -> int | None:
        """Return the limit that is set now, if there is one."""
        try:
            return int(read_text(f"{self.directory}/{name}"))
        except (OSError, ValueError):
            return None

    def _apply_cpu(self, cpu: Cpu) -> None:
        if cpu.get("realtimeRuntime") or cpu.get("realtimePeriod"):
            raise RuntimeFailure("cannot set cpu.realtimeRuntime: cgroup v2 has none")
        idle = cpu.get("idle")
        if idle == 0:  # an idle one takes no weight
            self._set("cpu.idle", "0")
        if shares := cpu.get("shares"):
            self._set("cpu.weight", str(weight_of_shares(shares)))
        if idle:
            self._set("cpu.idle", str(idle))
        self._apply_bandwidth(cpu)
        for key in ("cpus", "mems"):
            value = cpu.get(key)
            if value:
                self._set(f"cpuset.{key}", str(value))

    def _apply_bandwidth(self, cpu: Cpu) -> None:
        """Set quota, period and burst. No burst is above its quota, so which is first depends."""
        burst, late = cpu.get("burst"), False
        if burst is not None:
            try:
                self._set("cpu.max.burst", str(burst))
            except RuntimeFailure as failure:
                late = failure.errno == errno.EINVAL and bool(cpu.get("quota"))
                if not late:
                    raise
        if cpu.get("quota") or cpu.get("period"):
            quota, period = self._cpu_maximum()
            if wanted := cpu.get("quota"):
                quota = _or_max(wanted)
            self._set("cpu.max", f"{quota} {cpu.get('period') or period}")
        if late:
            self._set("cpu.max.burst", str(burst))

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


def _hand_down(directory: str) -> None:
    """Have every controller of the root in a cgroup, as far as the kernel lets us.

    Somebody else may own what lies above, and hand down little (systemd) or take back; one that
    has processes of its own hands nothing down (EBUSY). Who asks for a limit then is told.
    """
    parent = directory.rpartition("/")[0]
    if not os.access(f"{parent}/cgroup.subtree_control", os.F_OK):
        return  # above the mount
    _hand_down(parent)
    held = read_text(f"{parent}/cgroup.subtree_control").split()
    for controller in read_text(f"{parent}/cgroup.controllers").split():
        if controller not in held:
            with contextlib.suppress(RuntimeFailure):
                files.write(parent, "cgroup.subtree_control", f"+{controller}")


def _or_max(limit: int) -> str:
    return "max" if limit < 0 else str(limit)


def weight_of_shares(shares: int) -> int:
    """Return cpu.weight for v1's cpu.shares, so that the defaults agree (1024 is 100).

    The curve that runc and crun use since 2025: 2 is 1, 262144 is 10000.
    """
    shares = min(max(shares, 2), 262144)
    if shares == 2:
        return 1
    exponent = math.log2(shares)
    return math.ceil(10 ** ((exponent * exponent + 125 * exponent) / 612.0 - 7.0 / 34.0))
