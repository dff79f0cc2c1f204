"""From the host's tree to the container's: the plan of mounts, entering the root, pivot_root."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import AT_FDCWD, MountAttr, MountFlag, UmountFlag
from orchestra.engine.linux.host import Cgroups
from orchestra.engine.runtime.labels import label_of
from orchestra.engine.runtime.mounts import Bind, FileSystem, Operation, clone_tree
from orchestra.engine.runtime.mounts_cgroup import CgroupMounts
from orchestra.engine.runtime.options import parse_options
from orchestra.engine.runtime.resolve import Root
from orchestra.oci.runtime import OciMount


def plan_mounts(
    mounts: Sequence[OciMount],
    bundle: str,
    cgroups: Cgroups,
    *,
    own_cgroup_root: bool,
    mapped: Mapping[str, int],
    label: str = "",
    procfs: int = -1,
) -> Iterator[Operation]:
    """Turn config.json's mounts into operations, in their order.

    ``mapped``: detached mounts with mapped owners, by destination. ``label``: SELinux's context of
    new file systems. ``procfs``: a superblock of it, where ours would be of another pid namespace.
    """
    for mount in mounts:
        options = parse_options(mount.get("options") or [])
        kind, source = mount.get("type", ""), mount.get("source", "")
        target = mount["destination"]
        if options.bind or kind == "bind":
            path = source if source.startswith("/") else f"{bundle}/{source}"
            yield Bind(path, target, options, mapped.get(target, -1))
        elif kind in {"cgroup", "cgroup2"}:
            yield CgroupMounts(target, options, cgroups, own_cgroup_root=own_cgroup_root)
        else:
            made = procfs if kind == "proc" else -1
            yield FileSystem(kind, source or kind, target, options, label_of(kind, label), made)


def cut_off(propagation: MountFlag) -> None:
    """Cut this namespace's mounts off from the host's.

    ``propagation``: SLAVE lets the host's later mounts in, and nothing out.
    """
    syscalls.mount(None, "/", None, propagation | MountFlag.REC)


def lay_over(path: str) -> Root:
    """Lay a private copy of the root's mount over ``path``, as the coming root.

    :raises OSError: when the root is missing.
    """
    tree = clone_tree(AT_FDCWD, path, recursive=True)
    target = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syscalls.mount_setattr(tree, propagation=MountFlag.PRIVATE, recursive=True)
        syscalls.move_mount(tree, target)
    finally:
        os.close(target)
    return Root(tree)


def make_readonly(root: Root) -> None:
    """Make the root mount read-only; what is mounted below it stays as it is."""
    syscalls.mount_setattr(root.fd, add=MountAttr.RDONLY)


def pivot(root: Root) -> None:
    """Make the root the root, and let go of the host's tree (man 2 pivot_root, NOTES).

    :raises OSError: what pivot_root says.
    """
    os.fchdir(root.fd)
    syscalls.pivot_root(".", ".")
    # The old root now lies over the new one at "/": unmount it there.
    syscalls.umount2(".", UmountFlag.DETACH)
    os.chdir("/")
