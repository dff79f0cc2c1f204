"""Device nodes of a container, and which devices its cgroup may use."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Sequence

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import AT_FDCWD
from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.engine.runtime.mounts import attach, clone_tree, refuse_procfs
from orchestra.engine.runtime.options import Options
from orchestra.engine.runtime.resolve import Root
from orchestra.oci.runtime import Device, DeviceRule
from orchestra.values import dataclass

DEFAULT_DEVICES: tuple[Device, ...] = (
    {"type": "c", "path": "/dev/null", "major": 1, "minor": 3, "fileMode": 0o666},
    {"type": "c", "path": "/dev/zero", "major": 1, "minor": 5, "fileMode": 0o666},
    {"type": "c", "path": "/dev/full", "major": 1, "minor": 7, "fileMode": 0o666},
    {"type": "c", "path": "/dev/random", "major": 1, "minor": 8, "fileMode": 0o666},
    {"type": "c", "path": "/dev/urandom", "major": 1, "minor": 9, "fileMode": 0o666},
    {"type": "c", "path": "/dev/tty", "major": 5, "minor": 0, "fileMode": 0o666},
)
"""config-linux.md, default devices."""

_LINKS = (
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
)

_ALWAYS_ALLOWED: tuple[DeviceRule, ...] = (
    {"allow": True, "type": "c", "access": "m"},
    {"allow": True, "type": "b", "access": "m"},
    *(
        DeviceRule(allow=True, type="c", major=item["major"], minor=item["minor"], access="rwm")
        for item in DEFAULT_DEVICES
    ),
    {"allow": True, "type": "c", "major": 5, "minor": 2, "access": "rwm"},
    {"allow": True, "type": "c", "major": 136, "access": "rwm"},
)
"""Making any node (using it is another thing), the default devices, /dev/ptmx and pty slaves."""

_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def cgroup_rules(rules: Sequence[DeviceRule] | None) -> list[DeviceRule]:
    """Return the rules of a cgroup, in order: nothing, then what was asked, then the defaults.

    Rules that end in "allow everything" are that alone (a privileged container).
    """
    asked = list(rules or ())
    if asked and asked[-1]["allow"] and asked[-1].get("type", "a") == "a":
        return [{"allow": True, "type": "a", "access": "rwm"}]
    deny: DeviceRule = {"allow": False, "type": "a", "access": "rwm"}
    specific = [rule for rule in asked if rule["allow"] or rule.get("type", "a") != "a"]
    return [deny, *specific, *_ALWAYS_ALLOWED]


def v1_entry(rule: DeviceRule) -> str:
    """Return a rule as devices.allow and devices.deny take it."""
    kind = rule.get("type", "a")
    if kind == "a":
        return "a"
    major, minor = rule.get("major", -1), rule.get("minor", -1)
    numbers = ":".join("*" if number < 0 else str(number) for number in (major, minor))
    return f"{kind} {numbers} {rule.get('access') or 'rwm'}"


@dataclass(frozen=True, slots=True)
class MakeDevice:
    """One device node. ``bound``: taken from the host, where mknod is not allowed (userns)."""

    device: Device
    bound: bool

    def describe(self) -> str:
        """Say what it does."""
        return f'make the device "{self.device["path"]}"'

    def apply(self, root: Root) -> None:
        """Do it. A node that is there already must be that very device."""
        if self.bound:
            self._bind(root)
            return
        kind = _KINDS.get(self.device["type"])
        if kind is None:
            path = self.device["path"]
            raise RuntimeFailure(f'device "{path}": unknown type "{self.device["type"]}"')
        number = os.makedev(self.device.get("major", 0), self.device.get("minor", 0))
        mode = self.device.get("fileMode", 0o666) & 0o7777
        parent, name = root.parent(self.device["path"])
        try:
            refuse_procfs(parent, self.device["path"])
            try:
                os.mknod(name, mode | kind, number, dir_fd=parent)
            except FileExistsError:
                found = os.stat(name, dir_fd=parent, follow_symlinks=False)
                if (stat.S_IFMT(found.st_mode), found.st_rdev) == (kind, number):
                    return
                os.unlink(name, dir_fd=parent)
                os.mknod(name, mode | kind, number, dir_fd=parent)
            self._own(parent, name)
        finally:
            root.done(parent)

    def _own(self, parent: int, name: str) -> None:
        uid, gid = self.device.get("uid", 0), self.device.get("gid", 0)
        if uid or gid:
            os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)

    def _bind(self, root: Root) -> None:
        tree = clone_tree(AT_FDCWD, self.device["path"])
        try:
            target = root.file(self.device["path"])
            try:
                attach(tree, target, Options())
            finally:
                root.done(target)
        finally:
            root.done(tree)


@dataclass(frozen=True, slots=True)
class LinkDevices:
    """The links of /dev: fd, stdin, stdout, stderr, ptmx."""

    def describe(self) -> str:
        """Say what it does."""
        return "link /dev/fd and its like"

    def apply(self, root: Root) -> None:
        """Do it. What is there already stays, but ptmx must be the container's own."""
        for target, path in _LINKS:
            parent, name = root.parent(path)
            try:
                if name == "ptmx":
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(name, dir_fd=parent)
                with contextlib.suppress(FileExistsError):
                    os.symlink(target, name, dir_fd=parent)
            finally:
                root.done(parent)


def plan_devices(devices: Sequence[Device], *, bound: bool) -> list[MakeDevice | LinkDevices]:
    """Return the operations that fill /dev: the default devices, the asked ones, the links."""
    asked = {device["path"] for device in devices}
    defaults = [device for device in DEFAULT_DEVICES if device["path"] not in asked]
    return [*(MakeDevice(device, bound) for device in (*defaults, *devices)), LinkDevices()]


def open_null() -> int:
    """Return a verified descriptor of the host's /dev/null.

    :raises RuntimeFailure: when something else is in its place (CVE-2025-31133).
    """
    fd = syscalls.openat2(AT_FDCWD, "/dev/null", os.O_PATH)
    found = os.fstat(fd)
    if not stat.S_ISCHR(found.st_mode) or found.st_rdev != os.makedev(1, 3):
        os.close(fd)
        raise RuntimeFailure("cannot mask paths: /dev/null is not the null device")
    return fd
