"""A container in a mount namespace that others use too: the caller's, or one named by its path.

Its mounts are made there for all to see, its root is changed by chroot, and nothing else of the
namespace is touched. It has no wall towards the host's files: no service is ever made so.
"""

from __future__ import annotations

import contextlib
import os

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import CloneFlag, UmountFlag
from orchestra.engine.runtime.resolve import Root
from orchestra.oci.runtime import Linux


def change_root(root: Root) -> None:
    """Make the root this process's root, and no other's (man 2 chroot)."""
    os.fchdir(root.fd)
    os.chroot(".")
    os.chdir("/")


def withdraw(root: Root) -> None:
    """Take the mounts away again: the container could not be made."""
    with contextlib.suppress(OSError):
        os.fchdir(root.fd)
        syscalls.umount2(".", UmountFlag.DETACH)


def leave(rootfs: str, linux: Linux) -> None:
    """Take away what an ended container has mounted outside of a namespace of its own.

    What cannot be reached any more ends with its namespace.
    """
    paths = [
        item.get("path", "") for item in linux.get("namespaces") or [] if item["type"] == "mount"
    ]
    namespace = paths[0] if paths else ""
    if paths and not namespace:
        return
    if not namespace:
        _unmount(rootfs)
        return
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    try:
        fd = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        syscalls.setns(fd, CloneFlag.NEWNS)
        _unmount(rootfs)
    finally:
        os._exit(0)


def _unmount(rootfs: str) -> None:
    with contextlib.suppress(OSError):
        syscalls.umount2(rootfs, UmountFlag.DETACH)
