"""The mounts of a container as operations: what they are, described, and applied to a Root.

Each target is resolved inside the root on a held descriptor and each mount is attached to that
descriptor (open_tree, fsmount, move_mount), so no path is walked twice and none by the kernel's
own rules. Runs in the container's mount namespace, before pivot_root.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import Protocol

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import (
    AT_FDCWD,
    AtFlag,
    FsConfig,
    FsMagic,
    MountAttr,
    MountFlag,
    OpenTree,
)
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.engine.runtime.options import Options
from orchestra.engine.runtime.resolve import Root, is_on
from orchestra.values import dataclass

_PROC_FILES = frozenset(
    {"cpuinfo", "diskstats", "meminfo", "stat", "swaps", "uptime", "loadavg", "slabinfo"}
    | {"net/dev", "sys/kernel/ns_last_pid"}
)
"""Files of procfs that may be covered from outside (lxcfs does); everything else there may not."""


# Plain numbers: operators of IntFlag take a microsecond each.
_ATIME = int(MountAttr.ATIME_MASK)
_CLONE = int(OpenTree.CLONE)
_CLONE_RECURSIVE = int(OpenTree.CLONE | AtFlag.RECURSIVE)
_EMPTY_PATH = int(AtFlag.EMPTY_PATH)


class Operation(Protocol):
    """One piece of kernel work."""

    def describe(self) -> str:
        """Say what it does, as in "cannot <describe>: why"."""
        ...

    def apply(self, root: Root) -> None:
        """Do it. :raises OSError, RuntimeFailure: when it cannot be done."""
        ...


def apply(operations: Sequence[Operation], root: Root) -> None:
    """Apply operations in order.

    :raises RuntimeFailure: naming the first that failed.
    """
    for operation in operations:
        try:
            operation.apply(root)
        except OSError as err:
            raise failed(operation.describe(), err) from err


def make(operations: Sequence[Operation], root: Root) -> None:
    """Apply operations that make files, whose modes are what is asked, whatever our umask is.

    :raises RuntimeFailure: naming the first that failed.
    """
    old = os.umask(0)
    try:
        apply(operations, root)
    finally:
        os.umask(old)


def new_filesystem(
    fstype: str, source: str, data: Sequence[tuple[str, str | None]], attributes: int
) -> int:
    """Return a detached mount of a new instance.

    :raises OSError: EINVAL for a bad option, ENODEV for an unknown type.
    """
    fs_fd = new_superblock(fstype, source, data)
    try:
        return syscalls.fsmount(fs_fd, attributes)
    finally:
        os.close(fs_fd)


def new_superblock(fstype: str, source: str, data: Sequence[tuple[str, str | None]]) -> int:
    """Return a context of fsopen(2) with a superblock, ready for fsmount(2). As above."""
    fs_fd = syscalls.fsopen(fstype)
    try:
        if source:
            syscalls.fsconfig(fs_fd, FsConfig.SET_STRING, "source", source)
        for key, value in data:
            command = FsConfig.SET_FLAG if value is None else FsConfig.SET_STRING
            syscalls.fsconfig(fs_fd, command, key, value)
        syscalls.fsconfig(fs_fd, FsConfig.CREATE)
    except BaseException:
        os.close(fs_fd)
        raise
    return fs_fd


def clone_tree(fd: int, path: str = "", *, recursive: bool = False) -> int:
    """Return a detached copy of the mount at a path or descriptor, from that path on.

    :raises OSError: ENOENT, EINVAL for a mount of another namespace.
    """
    flags = _CLONE_RECURSIVE if recursive else _CLONE
    return syscalls.open_tree(fd, path, flags if path else flags | _EMPTY_PATH)


def attach(mount_fd: int, target_fd: int, options: Options) -> None:
    """Give a detached mount its attributes and propagation, and put it on its target.

    :raises OSError: what mount_setattr and move_mount say.
    """
    if options.recursive_add or options.recursive_remove:
        syscalls.mount_setattr(
            mount_fd, add=options.recursive_add, remove=options.recursive_remove, recursive=True
        )
    # The atime bits are one field: setting any means clearing the field first.
    remove = options.remove | (_ATIME if options.add & _ATIME else 0)
    if options.bind and not options.recursive and not options.propagation:
        propagation = MountFlag.PRIVATE  # all at once: it is a single mount
        syscalls.mount_setattr(mount_fd, add=options.add, remove=remove, propagation=propagation)
    elif options.bind or options.propagation:
        if options.bind and (options.add or remove):
            syscalls.mount_setattr(mount_fd, add=options.add, remove=remove)
        # A copy keeps the propagation of what it was made of; a new mount is private.
        propagation = options.propagation or MountFlag.PRIVATE
        recursive = options.propagation_recursive or not options.propagation
        syscalls.mount_setattr(mount_fd, propagation=propagation, recursive=recursive)
    syscalls.move_mount(mount_fd, target_fd)


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or directory of the host, seen at ``target``. Private unless options say otherwise."""

    source: str
    target: str
    options: Options
    prepared: int = -1
    """A detached mount of the source, where there is one already."""

    def describe(self) -> str:
        """Say what it does."""
        return f'bind "{self.source}" at "{self.target}"'

    def apply(self, root: Root) -> None:
        """Do it."""
        tree = self.prepared
        if tree < 0:
            tree = clone_tree(AT_FDCWD, self.source, recursive=self.options.recursive)
        try:
            directory = stat.S_ISDIR(os.fstat(tree).st_mode)
            target = root.directory(self.target) if directory else root.file(self.target)
            try:
                refuse_procfs(target, self.target)
                attach(tree, target, self.options)
            finally:
                root.done(target)
        finally:
            root.done(tree)


@dataclass(frozen=True, slots=True)
class FileSystem:
    """A new instance of a file system at ``target``."""

    fstype: str
    source: str
    target: str
    options: Options
    label: str = ""
    """SELinux's context of its files; "" where they have none of their own."""
    made: int = -1
    """What ``new_superblock`` has returned in another process, where that had to be it."""

    def describe(self) -> str:
        """Say what it does."""
        return f'mount {self.fstype} at "{self.target}"'

    def apply(self, root: Root) -> None:
        """Do it. procfs and sysfs never through a symlink: the walls stand on their paths."""
        system = self.fstype in {"proc", "sysfs"}
        existed = self.fstype == "tmpfs" and root.exists(self.target)
        target = root.directory(self.target, links=not system)
        try:
            data = list(self.options.data)
            if not system:
                refuse_procfs(target, self.target)
            if existed and not any(key == "mode" for key, _ in data):
                data.append(("mode", f"{stat.S_IMODE(os.fstat(target).st_mode):o}"))
            if self.label:
                data.append(("context", self.label))
            attributes = self.options.add | self.options.recursive_add
            if self.made >= 0:
                mount_fd = syscalls.fsmount(self.made, attributes)
            else:
                mount_fd = new_filesystem(self.fstype, self.source, data, attributes)
            try:
                attach(mount_fd, target, self.options)
            finally:
                root.done(mount_fd)
        finally:
            root.done(target)


def refuse_procfs(fd: int, path: str) -> None:
    """Refuse a target that lies on procfs, but for some harmless files (CVE-2019-16884).

    :raises RuntimeFailure: when it does.
    """
    inside = path.strip("/").removeprefix("proc/")
    if is_on(fd, FsMagic.PROC) and inside not in _PROC_FILES:
        raise RuntimeFailure(f'cannot mount at "{path}": it lies on procfs')
