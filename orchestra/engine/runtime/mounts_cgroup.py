"""The cgroup file systems that a container sees: its own part, read-only unless asked otherwise."""

from __future__ import annotations

import os

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import AT_FDCWD, MountAttr
from orchestra.engine.linux.host import Cgroups, Hierarchy
from orchestra.engine.runtime.mounts import attach, clone_tree, new_filesystem
from orchestra.engine.runtime.options import Options
from orchestra.engine.runtime.resolve import Root
from orchestra.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One v1 hierarchy to show: its directory's name, and short names linked to it."""

    name: str
    hierarchy: Hierarchy
    links: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CgroupMounts:
    """A mount of type cgroup at ``target``.

    v2: the container's own cgroup. v1 and hybrid: a tmpfs with a directory per hierarchy.
    ``own_cgroup_root``: the process is in a cgroup namespace, so that a new v2 mount shows its own
    cgroup as the root; without one, and on v1, the cgroup's directory is bound.
    """

    target: str
    options: Options
    cgroups: Cgroups
    own_cgroup_root: bool

    def describe(self) -> str:
        """Say what it does."""
        return f'mount the cgroups at "{self.target}"'

    def apply(self, root: Root) -> None:
        """Do it."""
        target = root.directory(self.target)
        try:
            if self.cgroups.mode == "v2" and self.cgroups.unified is not None:
                self._attach_hierarchy(root, self.cgroups.unified, target)
            elif self.cgroups.mode != "none":
                self._attach_v1(root, target)
        finally:
            root.done(target)

    def _attach_v1(self, root: Root, target: int) -> None:
        attributes = self.options.add & ~MountAttr.RDONLY
        mount_fd = new_filesystem("tmpfs", "tmpfs", (("mode", "755"),), attributes)
        try:
            attach(mount_fd, target, Options())
            for part in _parts(self.cgroups):
                os.mkdir(part.name, 0o755, dir_fd=mount_fd)
                with root.opened(f"{self.target}/{part.name}") as directory:
                    self._attach_hierarchy(root, part.hierarchy, directory)
                for link in part.links:
                    os.symlink(part.name, link, dir_fd=mount_fd)
            if self.options.add & MountAttr.RDONLY:
                syscalls.mount_setattr(mount_fd, add=MountAttr.RDONLY)
        finally:
            root.done(mount_fd)

    def _attach_hierarchy(self, root: Root, hierarchy: Hierarchy, target: int) -> None:
        if self.own_cgroup_root and not hierarchy.name:
            mount_fd = new_filesystem("cgroup2", "cgroup", (), self.options.add)
            options = Options(propagation=self.options.propagation)
        else:
            mount_fd = clone_tree(AT_FDCWD, hierarchy.directory)
            options = Options(bind=True, add=self.options.add)
        try:
            attach(mount_fd, target, options)
        finally:
            root.done(mount_fd)


def _parts(cgroups: Cgroups) -> tuple[_Part, ...]:
    """Return the hierarchies once each; "cpu,cpuacct" is linked as cpu and as cpuacct."""
    by_mount: dict[str, list[Hierarchy]] = {}
    for hierarchy in cgroups.v1:
        by_mount.setdefault(hierarchy.mountpoint, []).append(hierarchy)
    parts = []
    for mountpoint, joint in by_mount.items():
        name = mountpoint.rpartition("/")[2]
        links = tuple(item.name for item in joint if len(joint) > 1)
        parts.append(_Part(name=name, hierarchy=joint[0], links=links))
    return tuple(parts)
