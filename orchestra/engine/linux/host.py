"""What this host offers: cgroup hierarchies and our place in them, and kernel features.

Everything is read from /proc when asked and kept by nobody; the only place that detects.
"""

from __future__ import annotations

import os

from orchestra.engine.linux.proc import read_text
from orchestra.values import dataclass

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    CgroupMode = Literal["v1", "v2", "hybrid", "none"]


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of /proc/self/mountinfo: proc_pid_mountinfo(5)."""

    root: str
    mountpoint: str
    options: tuple[str, ...]
    fstype: str
    source: str
    super_options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A mounted cgroup hierarchy; ``directory`` is where this process is in it.

    ``name`` is the controller ("memory"), "name=systemd", or "" for v2. Controllers mounted
    together ("cpu,cpuacct") share ``mountpoint`` and ``options``.
    """

    name: str
    mountpoint: str
    directory: str
    options: str

    def base(self) -> str:
        """Return where absolute cgroup paths begin: the mount's root.

        Where that is not ours to write (rootless), our own delegated cgroup.
        """
        return self.mountpoint if os.access(self.mountpoint, os.W_OK) else self.directory


@dataclass(frozen=True, slots=True)
class Cgroups:
    """The cgroup set-up of this host. ``unified`` is set for v2 and hybrid."""

    mode: CgroupMode
    v1: tuple[Hierarchy, ...]
    unified: Hierarchy | None

    def controller(self, name: str) -> Hierarchy | None:
        """Return the v1 hierarchy of a controller."""
        return next((hierarchy for hierarchy in self.v1 if hierarchy.name == name), None)


@dataclass(frozen=True, slots=True)
class Features:
    """What the kernel and the libraries of this host can do."""

    overlayfs: bool
    overlay_userxattr: bool
    seccomp: bool
    nftables: bool
    user_namespaces: bool
    kernel: tuple[int, int]


def _unescape(text: str) -> str:
    """Undo mountinfo's octal escapes of space, tab, newline and backslash."""
    if "\\" not in text:
        return text
    for code, character in (("040", " "), ("011", "\t"), ("012", "\n"), ("134", "\\")):
        text = text.replace(f"\\{code}", character)
    return text


def parse_mountinfo(text: str) -> tuple[Mount, ...]:
    """Parse a mountinfo file; later lines lie over earlier ones."""
    mounts = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        mounts.append(
            Mount(
                _unescape(fields[3]),
                _unescape(fields[4]),
                tuple(fields[5].split(",")),
                rest[0],
                _unescape(rest[1]),
                tuple(rest[2].split(",")),
            )
        )
    return tuple(mounts)


def mounts() -> tuple[Mount, ...]:
    """Return the mounts of this process's namespace."""
    return parse_mountinfo(read_text("/proc/self/mountinfo"))


def parse_cgroups(mountinfo: str, membership: str) -> Cgroups:
    """Combine /proc/PID/mountinfo and /proc/PID/cgroup into hierarchies and places."""
    paths = {}
    for line in membership.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            paths[name] = path
    v1: dict[str, Hierarchy] = {}
    unified: Hierarchy | None = None
    for mount in parse_mountinfo("\n".join(x for x in mountinfo.splitlines() if " - cgroup" in x)):
        if mount.fstype == "cgroup2":
            unified = unified or _hierarchy("", mount, paths.get("", "/"), "")
            continue
        joint = [option for option in mount.super_options if option in paths]
        for name in joint:
            v1.setdefault(name, _hierarchy(name, mount, paths[name], ",".join(joint)))
    if unified is None:
        mode: CgroupMode = "v1" if v1 else "none"
    else:
        mode = "hybrid" if _has_controllers(v1) else "v2"
    return Cgroups(mode, tuple(v1.values()), unified)


def _has_controllers(v1: dict[str, Hierarchy]) -> bool:
    return any(not name.startswith("name=") for name in v1)


def _hierarchy(name: str, mount: Mount, path: str, options: str) -> Hierarchy:
    """Place ``path`` below a mount whose root may itself be a part of the hierarchy."""
    root = mount.root.rstrip("/")
    inside = path[len(root) :] if path == root or path.startswith(root + "/") else "/"
    return Hierarchy(name, mount.mountpoint, (mount.mountpoint + inside).rstrip("/"), options)


def cgroups(pid: int | str = "self") -> Cgroups:
    """Return the hierarchies mounted here, and the place of a process in each.

    :raises OSError: when the process is gone.
    """
    return parse_cgroups(read_text("/proc/self/mountinfo"), read_text(f"/proc/{pid}/cgroup"))


def kernel_version() -> tuple[int, int]:
    """Return the kernel's major and minor version."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(character for character in minor if character.isdigit()))


def features() -> Features:
    """Detect what this host can do; nothing is loaded or run."""
    filesystems = {line.split("\t")[-1] for line in read_text("/proc/filesystems").splitlines()}
    kernel = kernel_version()
    return Features(
        overlayfs="overlay" in filesystems,
        overlay_userxattr="overlay" in filesystems and kernel >= (5, 11),
        seccomp=_exists("/proc/sys/kernel/seccomp/actions_avail"),
        nftables=_has_library("libnftables.so.1") or _has_program("nft"),
        user_namespaces=_exists("/proc/self/ns/user"),
        kernel=kernel,
    )


def has_apparmor() -> bool:
    """Tell whether this kernel confines by AppArmor."""
    try:
        return read_text("/sys/module/apparmor/parameters/enabled").startswith("Y")
    except OSError:
        return False


def has_selinux() -> bool:
    """Tell whether this kernel confines by SELinux, with a policy."""
    return _exists("/sys/fs/selinux/enforce")


def _exists(path: str) -> bool:
    return os.access(path, os.F_OK)


def _has_library(name: str) -> bool:
    machine = os.uname().machine
    directories = (f"/usr/lib/{machine}-linux-gnu", "/usr/lib64", "/usr/lib", "/lib64", "/lib")
    return any(_exists(f"{directory}/{name}") for directory in directories)


def _has_program(name: str) -> bool:
    directories = os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").split(":")
    return any(os.access(f"{directory}/{name}", os.X_OK) for directory in directories)
