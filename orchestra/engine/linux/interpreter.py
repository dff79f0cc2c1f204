"""A program that nobody can write to while it runs (CVE-2019-5736).

A process in a container can reach the program that started it through /proc/self/exe or
/proc/PID/exe. Run from a read-only mount of itself that is in no namespace, or else from a sealed
copy in memory, there is nothing to write to.
"""

from __future__ import annotations

import os

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import (
    AT_FDCWD,
    MountAttr,
    MountFlag,
    OpenTree,
    SealFlag,
)

_F_ADD_SEALS, _F_GET_SEALS = 1033, 1034
_ALL_SEALS = SealFlag.SEAL | SealFlag.SHRINK | SealFlag.GROW | SealFlag.WRITE
_MFD_EXEC = 0x10


def is_protected() -> bool:
    """Tell whether this process's program can be written to through /proc/self/exe by nobody."""
    fd = os.open("/proc/self/exe", os.O_PATH | os.O_CLOEXEC)
    try:
        return bool(os.fstatvfs(fd).f_flag & os.ST_RDONLY) or _is_sealed()
    finally:
        os.close(fd)


def _is_sealed() -> bool:
    import fcntl  # noqa: PLC0415 - only where it is asked

    try:
        fd = os.open("/proc/self/exe", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return fcntl.fcntl(fd, _F_GET_SEALS) & _ALL_SEALS == _ALL_SEALS
        finally:
            os.close(fd)
    except OSError:
        return False


def protected_program(path: str) -> int:
    """Return a descriptor of a program to execute, through which nobody can ever write to it.

    :raises OSError: when there is no way to one.
    """
    try:
        return _read_only_mount(path)
    except OSError:
        return _sealed_copy(path)


def _read_only_mount(path: str) -> int:
    """Return a read-only mount of the program, in no namespace: nothing can make it writable.

    It lives as long as somebody runs from it, and the host's mounts are not pinned by it.

    :raises OSError: EPERM without CAP_SYS_ADMIN.
    """
    tree = syscalls.open_tree(AT_FDCWD, path, int(OpenTree.CLONE))
    try:
        syscalls.mount_setattr(tree, add=MountAttr.RDONLY, propagation=MountFlag.PRIVATE)
    except OSError:
        os.close(tree)
        raise
    return tree


def _sealed_copy(path: str) -> int:
    """Return a memfd with the program's bytes, closed to every change."""
    import fcntl  # noqa: PLC0415 - only where it is needed

    flags = os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC
    try:
        copy = os.memfd_create("orchestra", flags | _MFD_EXEC)
    except OSError:  # MFD_EXEC came with Linux 6.3.
        copy = os.memfd_create("orchestra", flags)
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while os.sendfile(copy, source, None, 1 << 24):
            pass
    finally:
        os.close(source)
    fcntl.fcntl(copy, _F_ADD_SEALS, int(_ALL_SEALS))
    return copy
