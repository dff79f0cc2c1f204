"""A container's cgroup: v1, hybrid and v2 behind one class.

``path`` is config.json's cgroupsPath ("/orchestra/<project>/<id>"), which counts from the mounts'
roots (runtime-spec config-linux.md, Cgroups Path): the same place from whichever session it is
asked for, and for runc.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from orchestra.engine.linux import host
from orchestra.engine.runtime.cgroup_files import ROOT_NAME
from orchestra.engine.runtime.cgroup_v1 import CgroupV1
from orchestra.engine.runtime.cgroup_v2 import CgroupV2
from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.oci.runtime import LinuxResources
from orchestra.values import replace

_remembered: list[host.Cgroups] = []


def remember_host() -> None:
    """Read the host's set-up once for all later cgroups of this process and its children.

    For a launcher that stays in its own cgroup: each start saves a third of a millisecond.
    """
    if not _remembered:
        _remembered.append(host.cgroups())


def _host() -> host.Cgroups:
    return _remembered[0] if _remembered else host.cgroups()


class Cgroup:
    """One cgroup, wherever it lies. ``cgroups`` is the host as this process sees it."""

    def __init__(self, driver: CgroupV1 | CgroupV2 | None, cgroups: host.Cgroups) -> None:
        self._driver = driver
        self.cgroups = cgroups

    @classmethod
    def at(cls, path: str, cgroups: host.Cgroups | None = None) -> Cgroup:
        """Name the cgroup at ``path``; nothing is made.

        :raises RuntimeFailure: for a path that could lead elsewhere.
        """
        names = path.strip("/").split("/")
        if not path.strip("/") or any(name in {"", ".", ".."} for name in names):
            raise RuntimeFailure(f'"{path}" is no path of a cgroup')
        cgroups = cgroups or _host()
        clean = "/" + "/".join(names)
        if cgroups.mode == "v2" and cgroups.unified is not None:
            return cls(CgroupV2.below(cgroups.unified, clean), cgroups)
        return cls(CgroupV1.below(cgroups.v1, clean) if cgroups.v1 else None, cgroups)

    @classmethod
    def of_process(cls, pid: int) -> Cgroup:
        """Return the cgroup that a process is in.

        :raises OSError: when the process is gone.
        """
        cgroups = host.cgroups(pid)
        if cgroups.mode == "v2" and cgroups.unified is not None:
            return cls(CgroupV2(cgroups.unified.directory), cgroups)
        return cls(CgroupV1({item.name: item.directory for item in cgroups.v1}), cgroups)

    def below(self, places: Mapping[str, str]) -> Cgroup:
        """Return the cgroup at paths below this one, by v1 controller; "" is any other's.

        :raises RuntimeFailure: when there is none at such a path, or no such controller.
        """
        driver = self._driver
        if isinstance(driver, CgroupV1):
            known = {"", *driver.directories}
            found = {
                name: _below(directory, places.get(name, places.get("", "")))
                for name, directory in driver.directories.items()
            }
            below: CgroupV1 | CgroupV2 = CgroupV1(found)
        elif driver is not None:
            known = {""}
            below = CgroupV2(_below(driver.directory, places.get("", "")))
        else:
            raise RuntimeFailure("the container has no cgroup")
        for name in sorted(set(places) - known):
            raise RuntimeFailure(f'there is no cgroup controller "{name}"')
        return Cgroup(below, self.cgroups)

    @classmethod
    def default(cls, container_id: str) -> Cgroup:
        """Return the cgroup of a container whose config.json names none.

        It is named after the container where this process may make one (root, on a host that has
        cgroups and lets us write them); else the container stays in ours.
        """
        cgroups = _host()
        hierarchies = cgroups.v1 or ((cgroups.unified,) if cgroups.unified else ())
        writable = all(os.access(item.mountpoint, os.W_OK) for item in hierarchies)
        if not hierarchies or not writable:
            return cls(None, cgroups)
        # No project can have a name that begins so.
        return cls.at(f"/{ROOT_NAME}/_runtime/{container_id}", cgroups)

    def create(self, resources: LinuxResources) -> None:
        """Make it and set its limits.

        :raises RuntimeFailure: when it cannot be made, or a limit is refused or needs it.
        """
        self._refuse_unknown(resources)
        if self._driver is None:
            if any(resources.get(key) for key in _LIMITS):
                raise RuntimeFailure("cannot limit resources: the container has no cgroup")
            return
        self._driver.create()
        self._driver.apply(resources)
        self._driver.allow_devices(resources)

    def take(self, other: Cgroup) -> None:
        """Let another cgroup (v1), with all that is in it, have this one's name. See CgroupV1.

        :raises RuntimeFailure: when it cannot have it.
        """
        if not (isinstance(self._driver, CgroupV1) and isinstance(other._driver, CgroupV1)):
            raise RuntimeFailure("cannot rename a cgroup: this host has cgroup v2")
        self._driver.take(other._driver)

    def sweep(self, prefix: str) -> None:
        """Remove what is empty below it and has a name that begins so (v1)."""
        if isinstance(self._driver, CgroupV1):
            self._driver.sweep(prefix)

    def _refuse_unknown(self, resources: LinuxResources) -> None:
        _refuse_unknown(resources, _OF_V1 if isinstance(self._driver, CgroupV2) else frozenset())

    @property
    def exists(self) -> bool:
        """Tell whether the container has one of its own."""
        return self._driver is not None

    def unified_directory(self) -> str:
        """Return the v2 directory, or "" where limits are v1's."""
        return self._driver.directory if isinstance(self._driver, CgroupV2) else ""

    def v1_directories(self) -> Mapping[str, str]:
        """Return the v1 directories by controller."""
        return self._driver.directories if isinstance(self._driver, CgroupV1) else {}

    def update(self, resources: LinuxResources) -> None:
        """Change limits of a cgroup that is there; devices stay as they are.

        :raises RuntimeFailure: when there is no cgroup, or a limit is refused.
        """
        self._refuse_unknown(resources)
        if self._driver is None:
            raise RuntimeFailure("cannot update: the container has no cgroup")
        self._driver.apply(resources)

    def open(self) -> int:
        """Return a descriptor for clone3 where a process can be born into it (v2), else -1."""
        return self._driver.open() if isinstance(self._driver, CgroupV2) else -1

    def join(self) -> None:
        """Move the calling process in.

        :raises RuntimeFailure: when it is not let in.
        """
        if self._driver is not None:
            self._driver.join()

    def seen_from_inside(self) -> host.Cgroups:
        """Return the host's set-up with this cgroup's directories in place of our own."""
        driver, cgroups = self._driver, self.cgroups
        if isinstance(driver, CgroupV2) and cgroups.unified is not None:
            unified = replace(cgroups.unified, directory=driver.directory)
            return replace(cgroups, unified=unified)
        if isinstance(driver, CgroupV1):
            v1 = tuple(
                replace(item, directory=driver.directories[item.name]) for item in cgroups.v1
            )
            return replace(cgroups, v1=v1)
        return cgroups

    def pids(self) -> list[int]:
        """Return the processes in it and below it."""
        return self._driver.pids() if self._driver else []

    def freeze(self, *, frozen: bool) -> None:
        """Stop or resume every process.

        :raises RuntimeFailure: when there is no cgroup, or no freezer.
        """
        if self._driver is None:
            raise RuntimeFailure("cannot pause: the container has no cgroup")
        self._driver.freeze(frozen=frozen)

    def is_frozen(self) -> bool:
        """Tell whether every process is stopped."""
        return self._driver is not None and self._driver.is_frozen()

    def kill(self) -> None:
        """Send SIGKILL to every process."""
        if self._driver is not None:
            self._driver.kill()

    def oom_kills(self) -> int:
        """Return how many processes the memory limit has killed."""
        return self._driver.oom_kills() if self._driver else 0

    def delete(self) -> None:
        """Remove it, when its processes are gone, and empty parents of ours."""
        if self._driver is not None:
            self._driver.delete()

    def prune(self) -> None:
        """Remove it where nothing is in it or below it, and empty parents of ours."""
        if self._driver is not None:
            self._driver.prune()


def _below(directory: str, path: str) -> str:
    names = [name for name in path.split("/") if name not in {"", "."}]
    place = "/".join((directory, *names))
    if ".." in names or not os.access(place, os.F_OK):
        raise RuntimeFailure(f'the container has no cgroup "{path}"')
    return place


_LIMITS = ("memory", "cpu", "pids", "blockIO", "hugepageLimits", "network", "unified")
_KNOWN = {
    "": frozenset(
        {"devices", "memory", "cpu", "pids", "blockIO", "hugepageLimits", "network", "unified"}
    ),
    "memory": frozenset(
        {
            "limit",
            "reservation",
            "swap",
            "swappiness",
            "disableOOMKiller",
            "kernel",
            "kernelTCP",
        }
    ),
    "network": frozenset({"classID", "priorities"}),
    "cpu": frozenset(
        {
            "shares",
            "quota",
            "period",
            "cpus",
            "mems",
            "burst",
            "idle",
            "realtimeRuntime",
            "realtimePeriod",
        }
    ),
    "pids": frozenset({"limit"}),
    "blockIO": frozenset(
        {
            "weight",
            "leafWeight",
            "weightDevice",
            "throttleReadBpsDevice",
            "throttleWriteBpsDevice",
            "throttleReadIOPSDevice",
            "throttleWriteIOPSDevice",
        }
    ),
}


_OF_V1 = frozenset({"disableOOMKiller", "kernel", "kernelTCP", "network", "swappiness"})


def _refuse_unknown(resources: LinuxResources, absent: frozenset[str]) -> None:
    """Refuse a limit that would be ignored; ``absent`` are those that this host cannot have.

    :raises RuntimeFailure: naming the first.
    """
    parts: dict[str, object] = {"": resources, **resources}
    for part, known in _KNOWN.items():
        value = parts.get(part)
        if not isinstance(value, dict):
            continue
        for key in sorted(set(value) - known | set(value) & absent):
            if value[key]:
                name = f"{part}.{key}" if part else key
                raise RuntimeFailure(f"the resource limit {name} is not supported")
