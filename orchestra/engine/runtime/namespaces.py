"""The namespaces of a container: new ones, joined ones, inherited ones, and the fork into them."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from collections.abc import Callable, Sequence

from orchestra.engine.linux import forks, syscalls
from orchestra.engine.linux.flags import CloneFlag
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.oci.runtime import IdMapping, Linux
from orchestra.values import dataclass

FLAGS = {
    "user": CloneFlag.NEWUSER,
    "pid": CloneFlag.NEWPID,
    "cgroup": CloneFlag.NEWCGROUP,
    "network": CloneFlag.NEWNET,
    "ipc": CloneFlag.NEWIPC,
    "uts": CloneFlag.NEWUTS,
    "time": CloneFlag.NEWTIME,
    "mount": CloneFlag.NEWNS,
}
_NONE = CloneFlag(0)
_AT_BIRTH = CloneFlag.NEWUSER | CloneFlag.NEWPID
"""A process cannot change its own pid namespace, and all others belong to its user namespace."""
_IFF_UP, _SIOCGIFFLAGS, _SIOCSIFFLAGS = 1, 0x8913, 0x8914


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespacePlan:
    """``new`` are made; ``joined`` are (flag, path); every other one is the caller's."""

    new: CloneFlag
    joined: tuple[tuple[CloneFlag, str], ...]
    clock_offsets: tuple[str, ...] = ()
    """Lines of /proc/PID/timens_offsets, for a new time namespace."""

    def has(self, flag: CloneFlag) -> bool:
        """Tell whether the container's namespace of that kind is another than the caller's."""
        return bool(self.new & flag) or any(kind & flag for kind, _ in self.joined)

    def path(self, flag: CloneFlag) -> str:
        """Return the path of a joined namespace, or ""."""
        return next((path for kind, path in self.joined if kind == flag), "")


def plan_namespaces(linux: Linux) -> NamespacePlan:
    """Sort config.json's namespaces.

    :raises RuntimeFailure: for one named twice or unknown.
    """
    new, seen, joined = CloneFlag(0), CloneFlag(0), []
    for item in linux.get("namespaces") or []:
        flag = FLAGS.get(item["type"])
        if flag is None or seen & flag:
            raise RuntimeFailure(f'namespace "{item["type"]}" is unknown or named twice')
        seen |= flag
        if path := item.get("path"):
            joined.append((flag, path))
        else:
            new |= flag
    if bool(new & CloneFlag.NEWUSER) != bool(linux.get("uidMappings")):
        raise RuntimeFailure("a new user namespace and uidMappings need each other")
    offsets = _clock_offsets(linux)
    if offsets and not new & CloneFlag.NEWTIME:
        raise RuntimeFailure("timeOffsets need a new time namespace")
    return NamespacePlan(new=new, joined=tuple(joined), clock_offsets=offsets)


def _clock_offsets(linux: Linux) -> tuple[str, ...]:
    """Return config.json's timeOffsets as the kernel reads them (man 7 time_namespaces)."""
    lines = []
    for clock, offset in sorted((linux.get("timeOffsets") or {}).items()):
        if clock not in {"monotonic", "boottime"}:
            raise RuntimeFailure(f'no clock "{clock}" can have an offset')
        lines.append(f"{clock} {offset.get('secs', 0)} {offset.get('nanosecs', 0)}\n")
    return tuple(lines)


def fork_into(plan: NamespacePlan, cgroup_fd: int) -> int:
    """Fork a child into the pid namespace (and a new user namespace); 0 in the child.

    The caller's own later children are born where it lives. ``cgroup_fd``: a v2 cgroup that the
    child is born into, or -1.

    :raises OSError: EPERM, ENOSPC (too many namespaces), EAGAIN (pids.max).
    """
    path = plan.path(CloneFlag.NEWPID)
    if path:
        target = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return fork_in_pid_namespace(target, cgroup_fd)
        finally:
            os.close(target)
    flags = plan.new & _AT_BIRTH
    if cgroup_fd >= 0 or flags & CloneFlag.NEWUSER:
        return forks.clone3(flags, cgroup_fd=cgroup_fd)
    if not flags:
        return os.fork()
    home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.unshare(CloneFlag.NEWPID)
        try:
            pid = os.fork()
        except OSError:
            syscalls.setns(home, CloneFlag.NEWPID)
            raise
        if pid:
            syscalls.setns(home, CloneFlag.NEWPID)
        return pid
    finally:
        os.close(home)


def fork_in_pid_namespace(target: int, cgroup_fd: int = -1) -> int:
    """Fork a child into the pid namespace of ``target`` (a namespace's fd or a pidfd).

    :raises OSError: EPERM; ENOMEM when its init is dead.
    """
    home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(target, CloneFlag.NEWPID)
        try:
            pid = forks.clone3(0, cgroup_fd=cgroup_fd) if cgroup_fd >= 0 else os.fork()
        except OSError:
            syscalls.setns(home, CloneFlag.NEWPID)
            raise
        if pid:
            syscalls.setns(home, CloneFlag.NEWPID)
        return pid
    finally:
        os.close(home)


def enter(plan: NamespacePlan, set_clocks: Callable[[], None], later: CloneFlag = _NONE) -> None:
    """In the child: join and make the other namespaces. The cgroup must be joined before.

    ``later`` are made by the caller. ``set_clocks`` is called when a new time namespace has been
    made, and not been entered.

    :raises OSError: EPERM, EINVAL. :raises RuntimeFailure: when a path is none.
    """
    mount_last = sorted(plan.joined, key=lambda item: item[0] == CloneFlag.NEWNS)
    for flag, path in mount_last:
        if flag == CloneFlag.NEWPID:
            continue
        try:
            _join(path, flag)
        except OSError as err:
            raise failed(f"join the namespace {path}", err) from err
    rest = plan.new & ~(_AT_BIRTH | later)
    if rest:
        syscalls.unshare(rest)
    if rest & CloneFlag.NEWTIME:
        if plan.clock_offsets:
            set_clocks()
        # Only children are in it so far; a single-threaded process may follow them.
        _join("/proc/self/ns/time_for_children", CloneFlag.NEWTIME)
    if rest & CloneFlag.NEWNET:
        raise_loopback()


def write_clock_offsets(pid: int, lines: Sequence[str]) -> None:
    """Set the clocks of a child's new time namespace, while nobody is in it yet.

    :raises RuntimeFailure: when the kernel refuses one: a clock cannot go below zero.
    """
    for line in lines:
        try:
            fd = os.open(f"/proc/{pid}/timens_offsets", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, line.encode())
            finally:
                os.close(fd)
        except OSError as err:
            raise failed(f"set the clock {line.strip()}", err) from err


def _join(path: str, flag: CloneFlag) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(fd, flag)
    finally:
        os.close(fd)


def raise_loopback() -> None:
    """Bring lo up in this network namespace (man 7 netdevice)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def write_mappings(pid: int, uids: Sequence[IdMapping], gids: Sequence[IdMapping]) -> None:
    """Map a child's user namespace; the caller has the rights to.

    :raises OSError: EPERM, EINVAL for overlapping ranges.
    """
    for name, mappings in (("uid_map", uids), ("gid_map", gids)):
        lines = [f"{item['containerID']} {item['hostID']} {item['size']}\n" for item in mappings]
        fd = os.open(f"/proc/{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, "".join(lines).encode())
        finally:
            os.close(fd)


def shares_with_host(kind: str) -> bool:
    """Tell whether this process is in the machine's first namespace of a kind ("net", "ipc")."""
    try:
        return _link("self", kind) == _link("1", kind)
    except OSError:
        return True


def _link(pid: str, kind: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{kind}")  # noqa: PTH115 - pathlib is 8 ms of import
