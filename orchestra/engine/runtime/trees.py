"""What is alike in container after container, mounted ahead: /proc, /dev, /sys as detached trees.

A tree is made of config.json's own mounts, devices, masks and read-only paths by the operations
that make them in place, so it is what they would have made. Each container gets its own.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import AT_FDCWD, CloneFlag, FsMagic, MountFlag
from orchestra.engine.linux.host import Cgroups
from orchestra.engine.runtime.devices import open_null, plan_devices
from orchestra.engine.runtime.failure import failed
from orchestra.engine.runtime.labels import mount_label
from orchestra.engine.runtime.mounts import (
    Operation,
    apply,
    clone_tree,
    make,
    new_filesystem,
    refuse_procfs,
)
from orchestra.engine.runtime.resolve import Root
from orchestra.engine.runtime.rootfs import cut_off, plan_mounts
from orchestra.engine.runtime.security import MaskPath, ReadonlyPath
from orchestra.oci.runtime import Device, OciMount, RuntimeConfig
from orchestra.values import dataclass

_TOPS = ("/proc", "/dev", "/sys")
_COVERED = {
    "/proc": "proc",
    "/dev": "tmpfs",
    "/dev/pts": "devpts",
    "/dev/shm": "tmpfs",  # noqa: S108 - a path of the container
    "/dev/mqueue": "mqueue",
    "/sys": "sysfs",
    "/sys/fs/cgroup": "cgroup",
}
_UNCOPIED = frozenset({"unbindable", "runbindable"})
"""What open_tree leaves out."""


@dataclass(frozen=True, slots=True)
class Standard:
    """What trees are made of; those of one container fit another whose standard part is equal."""

    mounts: Sequence[OciMount]
    devices: Sequence[Device]
    masked: Sequence[str]
    readonly: Sequence[str]
    label: str


def standard_part(config: RuntimeConfig) -> Standard | None:
    """Return what of a config.json can be mounted ahead; None where the order of mounts forbids it.

    A tree comes before all other mounts: none of these may lie in one.
    """
    linux = config.get("linux") or {}
    mounts: list[OciMount] = []
    for mount in config.get("mounts") or []:
        target = mount["destination"]
        if _COVERED.get(target) == mount.get("type") and not _is_bound(mount):
            if mount["type"] == "tmpfs" and not _has_mode(mount):
                return None
            if not _UNCOPIED.isdisjoint(mount.get("options") or ()):
                return None
            mounts.append(mount)
        elif target == "/" or _top(target):
            return None
    if [mount["destination"] for mount in mounts if mount["destination"] in _TOPS] != list(_TOPS):
        return None
    masked, readonly = linux.get("maskedPaths") or [], linux.get("readonlyPaths") or []
    if any(".." in path or path.rstrip("/") in _TOPS for path in (*masked, *readonly)):
        return None
    devices = linux.get("devices") or []
    if any(_top(device["path"]) != "/dev" for device in devices):
        return None
    return Standard(
        mounts,
        devices,
        [path for path in masked if _top(path)],
        [path for path in readonly if _top(path)],
        linux.get("mountLabel") or "",
    )


def is_mounted(mount: OciMount, trees: Mapping[str, object]) -> bool:
    """Tell whether a mount is in the trees that are there."""
    return bool(trees) and mount["destination"] in _COVERED


def is_covered(path: str, trees: Mapping[str, object]) -> bool:
    """Tell whether a path lies in one of the trees that are there."""
    return _top(path) in trees


def _top(path: str) -> str:
    """Return the tree that a path lies in, "" where it is none; one that climbs may be in any."""
    names = [name for name in path.split("/") if name not in {"", "."}]
    if ".." in names:
        return _TOPS[0]
    top = f"/{names[0]}" if names else ""
    return top if top in _TOPS else ""


def _is_bound(mount: OciMount) -> bool:
    return bool({"bind", "rbind"} & set(mount.get("options") or ()))


def _has_mode(mount: OciMount) -> bool:
    return any(option.startswith("mode=") for option in mount.get("options") or [])


def build(standard: Standard, cgroups: Cgroups, place: str, procfs: int) -> dict[str, int]:
    """Mount it all in a mount namespace for the purpose, which the caller leaves; return the trees.

    The caller is in the container's ipc and network namespaces. ``cgroups``: of v1, as seen from
    the container. ``place`` is any directory of the host's, ``procfs`` a superblock made in the
    container's pid namespace.

    :raises RuntimeFailure: when something cannot be mounted.
    """
    try:
        syscalls.unshare(CloneFlag.NEWNS)
        cut_off(MountFlag.PRIVATE)
        root = _scratch(place)
    except OSError as err:
        raise failed("make a place to mount in", err) from err
    try:
        _fill(standard, cgroups, procfs, root)
        return {top: clone_tree(root.fd, top[1:], recursive=True) for top in _TOPS}
    except OSError as err:
        raise failed("take what has been mounted", err) from err
    finally:
        root.done(root.fd)
        root.close_done()


def _scratch(place: str) -> Root:
    mount = new_filesystem("tmpfs", "tmpfs", (("mode", "755"),), 0)
    try:
        syscalls.move_mount(mount, AT_FDCWD, place)
    except OSError:
        os.close(mount)
        raise
    return Root(mount)


def _fill(standard: Standard, cgroups: Cgroups, procfs: int, root: Root) -> None:
    label = mount_label(standard.label)
    operations: list[Operation] = list(
        plan_mounts(
            standard.mounts,
            "",
            cgroups,
            own_cgroup_root=False,
            mapped={},
            label=label,
            procfs=procfs,
        )
    )
    operations += plan_devices(standard.devices, bound=False)
    make(operations, root)
    kinds = frozenset({FsMagic.PROC, FsMagic.SYSFS})
    protect(root, standard.readonly, standard.masked, kinds)


def protect(
    root: Root, readonly: Sequence[str], masked: Sequence[str], kinds: frozenset[FsMagic]
) -> None:
    """Make paths read-only and mask others; ``kinds``: see MaskPath.

    :raises RuntimeFailure: when one cannot be protected.
    """
    operations: list[Operation] = [ReadonlyPath(path, kinds) for path in readonly]
    opened = [open_null()] if masked else []
    try:
        operations += MaskPath.batch(masked, opened, kinds)
        apply(operations, root)
    finally:
        for fd in opened:
            root.done(fd)


@dataclass(frozen=True, slots=True)
class PutTree:
    """Attach a tree where it belongs; like what it stands for, never through a link of an image."""

    top: str
    tree: int

    def describe(self) -> str:
        """Say what it does."""
        return f'mount "{self.top}"'

    def apply(self, root: Root) -> None:
        """Do it."""
        device = self.top == "/dev"
        target = root.directory(self.top, links=device)
        try:
            if device:
                refuse_procfs(target, self.top)
            syscalls.move_mount(self.tree, target)
        finally:
            root.done(target)
