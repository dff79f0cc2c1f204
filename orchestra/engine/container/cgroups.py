"""Where a container's cgroup lies, and what this host's cgroups must have for its limits."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from orchestra.engine.container.limit_checks import impossible
from orchestra.engine.linux import host
from orchestra.engine.state.records import ContainerRecord
from orchestra.errors import ContainerError
from orchestra.planner.desired import ContainerSpec

_OURS = "/orchestra"
_ONLINE = Path("/sys/devices/system/cpu/online")
_RT_PERIOD_US = 1_000_000
"""The kernel's default, which the groups above a container keep (sched-rt-group.rst)."""


def cgroup_path(spec: ContainerSpec, container_id: str) -> str:
    """Return config.json's cgroupsPath of a container.

    Below ``cgroup_parent`` where one is given: from the root of each hierarchy, as with docker's
    cgroupfs driver; such a parent is the user's, and stays when the container goes.
    """
    parent = spec.cgroup_parent.strip("/")
    return f"/{parent}/{container_id}" if parent else f"{_OURS}/{spec.project}/{container_id}"


def check_limits(spec: ContainerSpec) -> None:
    """Refuse what cannot be limited, or not by this host's cgroups.

    :raises ContainerError: naming the key, and what is missing.
    """
    limits = spec.resources
    online = _ONLINE.read_text(encoding="ascii").strip() if limits.cpuset else ""
    if found := impossible(spec, cpus=len(os.sched_getaffinity(0)), online=online):
        raise _impossible(spec, *found)
    if (limits.cpu_rt_period_us or limits.cpu_rt_runtime_us) and _realtime() is None:
        key = "cpu_rt_runtime" if limits.cpu_rt_runtime_us else "cpu_rt_period"
        why = "the kernel has no real-time group scheduling (CONFIG_RT_GROUP_SCHED, cgroup v1)"
        raise _impossible(spec, key, why)


def _impossible(spec: ContainerSpec, key: str, why: str) -> ContainerError:
    return ContainerError(
        f'cannot create container "{spec.name}": {key} cannot be set: {why}',
        hint=f"change or remove services.{spec.service}.{key}",
    )


def _v1(controller: str, file: str) -> Path | None:
    """Return the root of a v1 hierarchy whose groups have a file."""
    found = host.cgroups().controller(controller)
    root = Path(found.base()) if found is not None else None
    return root if root is not None and (root / file).exists() else None


def _realtime() -> Path | None:
    return _v1("cpu", "cpu.rt_runtime_us")


def reserve_realtime(
    record: ContainerRecord, siblings: Callable[[], Iterable[ContainerRecord]]
) -> None:
    """Let the groups above a container have the real-time share that it will take.

    New ones have none, and the kernel refuses a child more than its parent has left. ``siblings``
    tells the project's containers: what they want is reserved too, as they may start beside it.

    :raises ContainerError: when the host has no such share left.
    """
    if not record.spec.resources.cpu_rt_runtime_us or (root := _realtime()) is None:
        return
    above = _above(record)
    wanted = sum(_wanted_by(other) for other in siblings() if _above(other) == above)
    places = [root.joinpath(*above[:depth]) for depth in range(1, len(above) + 1)]
    lock = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for place, below in zip(places, [*places[1:], None], strict=True):
            _raise_share(place, wanted, below)
    finally:
        os.close(lock)


def _above(record: ContainerRecord) -> tuple[str, ...]:
    return tuple(cgroup_path(record.spec, record.id).strip("/").split("/")[:-1])


def _wanted_by(record: ContainerRecord) -> int:
    limits = record.spec.resources
    runtime, period = limits.cpu_rt_runtime_us or 0, limits.cpu_rt_period_us or _RT_PERIOD_US
    return -(-runtime * _RT_PERIOD_US // period)


def _raise_share(directory: Path, wanted: int, below: Path | None) -> None:
    """Give a group at least what is wanted of it, beside what its other children have.

    ``below``: its child for which it is; None where the containers themselves are the children.
    """
    try:
        directory.mkdir(exist_ok=True)
        needed = wanted
        if below is not None:
            children = (child for child in directory.iterdir() if child.is_dir() and child != below)
            needed = sum(map(_share_of, children)) + max(wanted, _share_of(below))
        if _share_of(directory) < needed:
            (directory / "cpu.rt_runtime_us").write_text(str(needed))
    except OSError as err:
        raise ContainerError(
            f"cannot give real-time scheduling to the cgroup {directory}: {err.strerror}",
            hint="lower cpu_rt_runtime: /sys/fs/cgroup/cpu has the runtime that is left",
        ) from err


def _share_of(directory: Path) -> int:
    with suppress(OSError):
        runtime = int((directory / "cpu.rt_runtime_us").read_text())
        return -(-runtime * _RT_PERIOD_US // int((directory / "cpu.rt_period_us").read_text()))
    return 0
