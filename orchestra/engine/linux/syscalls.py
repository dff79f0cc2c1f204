"""One typed function per system call that Python 3.11 does not offer.

Flags come from flags.py, failures are OSError with errno and path, and nothing is decided here.
Fit for a single-threaded process between fork and exec.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable
from functools import partial

from orchestra.engine.linux.calls import call, check, encode, libc
from orchestra.engine.linux.flags import (
    AtFlag,
    CloneFlag,
    CloseRange,
    FsConfig,
    Inotify,
    MountAttr,
    MountFlag,
    MoveMount,
    OpenTree,
    Prctl,
    Resolve,
    SeccompFlag,
    UmountFlag,
)

# Plain numbers for the hot path: operators of IntFlag take a microsecond each.
_OPEN_TREE_CLOEXEC = int(OpenTree.CLOEXEC)
_TO_EMPTY_PATH = int(MoveMount.TO_EMPTY_PATH)
_RECURSIVE, _EMPTY_PATH = int(AtFlag.RECURSIVE), int(AtFlag.EMPTY_PATH)


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


class _MountAttributes(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class _SockFilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def unshare(flags: CloneFlag | int) -> None:
    """Leave the given namespaces for new ones (man 2 unshare).

    :raises OSError: EINVAL for NEWUSER in a process with threads; EPERM, ENOSPC.
    """
    check(libc.unshare(int(flags)))


def setns(fd: int, flags: CloneFlag | int) -> None:
    """Enter a namespace, or with a pidfd (Linux 5.8) several at once (man 2 setns).

    :raises OSError: EINVAL when the kind does not match or the process has threads; EPERM.
    """
    check(libc.setns(ctypes.c_int(fd), ctypes.c_int(flags)))


def mount(
    source: str | None, target: str, fstype: str | None, flags: MountFlag | int, data: str = ""
) -> None:
    """Mount, remount, bind or change propagation in the old way (man 2 mount).

    :raises OSError: with ``target`` as the path.
    """
    check(
        libc.mount(
            encode(source),
            encode(target),
            encode(fstype),
            ctypes.c_ulong(flags),
            encode(data) or None,
        ),
        target,
    )


def umount2(target: str, flags: UmountFlag | int = UmountFlag.NONE) -> None:
    """Unmount (man 2 umount2).

    :raises OSError: EINVAL when nothing is mounted there, EBUSY.
    """
    check(libc.umount2(encode(target), ctypes.c_int(flags)), target)


def pivot_root(new_root: str, put_old: str) -> None:
    """Make ``new_root`` the root of this mount namespace (man 2 pivot_root).

    :raises OSError: EINVAL when it is no mount point or its parent mount is shared.
    """
    call("pivot_root", encode(new_root), encode(put_old), path=new_root)


def open_tree(directory_fd: int, path: str, flags: int) -> int:
    """Open a mount, with OpenTree.CLONE a detached copy of it (man 2 open_tree, Linux 5.2).

    :raises OSError: EINVAL when the mount is not of this namespace.
    """
    return call("open_tree", directory_fd, encode(path), flags | _OPEN_TREE_CLOEXEC, path=path)


def move_mount(
    from_fd: int, to_fd: int, to_path: str = "", flags: MoveMount = MoveMount.FROM_EMPTY_PATH
) -> None:
    """Attach the mount ``from_fd`` at ``to_fd`` (or ``to_path`` below it) (man 2 move_mount).

    :raises OSError: ENOTDIR where one is a file and the other a directory.
    """
    number = int(flags) if to_path else int(flags) | _TO_EMPTY_PATH
    call("move_mount", from_fd, b"", to_fd, encode(to_path), number, path=to_path)


def fsopen(fstype: str) -> int:
    """Open a configuration context for a file system (man 2 fsopen, Linux 5.2).

    :raises OSError: ENODEV when the kernel does not know it.
    """
    return call("fsopen", encode(fstype), 1, path=fstype)


def fsconfig(
    fs_fd: int, command: FsConfig, key: str | None = None, value: str | None = None
) -> None:
    """Set a parameter, or make the superblock (man 2 fsconfig, Linux 5.2).

    :raises OSError: EINVAL for a bad parameter; with CREATE what mount would give.
    """
    call("fsconfig", fs_fd, command, encode(key), encode(value), 0, path=key)


def fsmount(fs_fd: int, attributes: MountAttr | int = MountAttr.NONE) -> int:
    """Return a detached mount of a made superblock (man 2 fsmount, Linux 5.2).

    :raises OSError: EPERM where mount(2) would be refused.
    """
    return call("fsmount", fs_fd, 1, attributes)


def mount_setattr(
    fd: int,
    path: str = "",
    *,
    add: MountAttr | int = 0,
    remove: MountAttr | int = 0,
    propagation: MountFlag | int = 0,
    recursive: bool = False,
    userns_fd: int = 0,
) -> None:
    """Change a mount's attributes and propagation (man 2 mount_setattr, Linux 5.12).

    ``userns_fd``: the user namespace that MountAttr.IDMAP maps owners by.

    :raises OSError: EINVAL for a path that is no mount point.
    """
    flags = (_RECURSIVE if recursive else 0) | (0 if path else _EMPTY_PATH)
    attributes = _MountAttributes(int(add), int(remove), int(propagation), userns_fd)
    size = ctypes.sizeof(attributes)
    call("mount_setattr", fd, encode(path), flags, attributes, size, path=path)


def openat2(
    directory_fd: int, path: str, flags: int, *, mode: int = 0, resolve: Resolve | int = 0
) -> int:
    """Open with rules for the walk; always close-on-exec (man 2 openat2, Linux 5.6).

    A rename or mount racing with ``..`` gives EAGAIN: tried again a bounded number of times.

    :raises OSError: ELOOP for a refused link, EXDEV for a refused crossing, and open(2)'s.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, int(resolve))
    encoded, size = encode(path), ctypes.sizeof(how)
    for _ in range(128):
        try:
            return call("openat2", directory_fd, encoded, how, size, path=path)
        except BlockingIOError:
            continue
    return call("openat2", directory_fd, encoded, how, size, path=path)


def prctl(operation: Prctl, *arguments: int | bytes) -> int:
    """Operate on this process (man 2 prctl).

    :raises OSError: EINVAL for what the kernel does not know, EPERM.
    """
    return check(prctl_call(operation, *arguments)())


def prctl_call(operation: Prctl, *arguments: int | bytes) -> Callable[[], int]:
    """Return what does that and returns what libc does: -1 where it failed."""
    rest = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
    rest += [ctypes.c_ulong(0)] * (4 - len(rest))
    return partial(libc.prctl, ctypes.c_int(operation), *rest)


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


_CAPABILITY_VERSION_3 = 0x20080522


def capget() -> tuple[int, int, int]:
    """Return the effective, permitted and inheritable sets as bit masks (man 2 capget)."""
    data = ctypes.create_string_buffer(24)
    call("capget", _CapHeader(_CAPABILITY_VERSION_3, 0), data)
    words = [int.from_bytes(data.raw[i : i + 4], "little") for i in range(0, 24, 4)]
    effective, permitted, inheritable = (words[i] | words[i + 3] << 32 for i in range(3))
    return effective, permitted, inheritable


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """Set this thread's three capability sets, as bit masks (man 2 capset).

    :raises OSError: EPERM when a set would grow beyond what is permitted.
    """
    masks = (effective, permitted, inheritable)
    low = b"".join((mask & 0xFFFFFFFF).to_bytes(4, "little") for mask in masks)
    high = b"".join((mask >> 32).to_bytes(4, "little") for mask in masks)
    call("capset", _CapHeader(_CAPABILITY_VERSION_3, 0), low + high)


def seccomp_load(program: bytes, flags: SeccompFlag | int = SeccompFlag.NONE) -> None:
    """Install a BPF filter (8 bytes an instruction) (man 2 seccomp), SECCOMP_SET_MODE_FILTER.

    :raises OSError: EACCES without CAP_SYS_ADMIN and no_new_privs, EINVAL for a bad program.
    """
    call("seccomp", 1, int(flags), _SockFilterProgram(len(program) // 8, program))


def setfsowner(uid: int, gid: int) -> None:
    """Let this thread make files as somebody else (man 2 setfsuid, setfsgid).

    :raises OSError: EPERM when the kernel did not do it, which it does not say by itself.
    """
    libc.setfsgid(ctypes.c_uint(gid))
    libc.setfsuid(ctypes.c_uint(uid))
    nobody = ctypes.c_uint(0xFFFFFFFF)  # changes nothing, and gives what is set
    now = libc.setfsuid(nobody) & 0xFFFFFFFF, libc.setfsgid(nobody) & 0xFFFFFFFF
    if now != (uid, gid):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def close_range(first: int, last: int = 0xFFFFFFFF, flags: CloseRange = CloseRange.NONE) -> None:
    """Close every descriptor from first to last, or mark them (man 2 close_range, Linux 5.9)."""
    call("close_range", first, last, flags)


def sethostname(name: str) -> None:
    """Set the UTS namespace's host name (man 2 sethostname).

    :raises OSError: EINVAL beyond 64 bytes, EPERM.
    """
    check(libc.sethostname(os.fsencode(name), ctypes.c_size_t(len(os.fsencode(name)))), name)


def setdomainname(name: str) -> None:
    """Set the UTS namespace's NIS domain name (man 2 setdomainname).

    :raises OSError: EINVAL beyond 64 bytes, EPERM.
    """
    check(libc.setdomainname(os.fsencode(name), ctypes.c_size_t(len(os.fsencode(name)))), name)


def join_session_keyring(name: str) -> None:
    """Give this process a session keyring of its own (man 2 keyctl), KEYCTL_JOIN_SESSION_KEYRING.

    :raises OSError: ENOSYS without keyrings, EDQUOT when root's quota is used up.
    """
    call("keyctl", 1, encode(name), 0, 0, 0)


def personality(persona: int) -> int:
    """Set the execution domain, return the one before (man 2 personality)."""
    return check(libc.personality(ctypes.c_ulong(persona)))


def sched_setattr(attributes: bytes) -> None:
    """Set this thread's scheduling; ``attributes`` is struct sched_attr (man 2 sched_setattr).

    :raises OSError: EINVAL, EPERM without CAP_SYS_NICE, EBUSY for a deadline that cannot be met.
    """
    call("sched_setattr", 0, attributes, 0)


def ioprio_set(priority: int) -> None:
    """Set this thread's I/O class and level (man 2 ioprio_set).

    :raises OSError: EPERM for the real-time class without CAP_SYS_NICE.
    """
    call("ioprio_set", 1, 0, priority)


def default_action(number: int) -> None:
    """Give a signal its default action, also one that libc keeps to itself (man 2 sigaction)."""
    call("rt_sigaction", number, bytes(32), None, 8)


def inotify_init() -> int:
    """Return an inotify descriptor, non-blocking and close-on-exec. inotify(7)."""
    return check(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))


def inotify_add_watch(fd: int, path: str, mask: Inotify) -> int:
    """Watch ``path`` and return the watch's descriptor. inotify(7).

    :raises OSError: ENOENT, ENOSPC when the user's watches are used up.
    """
    return check(libc.inotify_add_watch(fd, encode(path), ctypes.c_uint32(mask)), path)


def quotactl_fd(fd: int, command: int, number: int, data: ctypes.Array[ctypes.c_char]) -> None:
    """Ask for or set what a user, group or project may take of a file system.

    ``command`` holds whose (man 2 quotactl_fd, Linux 5.14).

    :raises OSError: ENOSYS, ESRCH where quotas are off, ENOENT for a number never heard of.
    """
    call("quotactl_fd", fd, command, number, data)


def bpf(command: int, attributes: bytes) -> int:
    """Load or attach an eBPF program; ``attributes`` is union bpf_attr (man 2 bpf).

    :raises OSError: EACCES when the verifier refuses, EPERM.
    """
    return call("bpf", command, attributes, len(attributes))
