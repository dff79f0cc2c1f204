"""Labels of security modules: AppArmor profiles, SELinux contexts of processes and of mounts.

What a process will have after execve is written to a file of procfs. That is taken from a procfs
that nobody else can have touched, never from the container's /proc by its path (CVE-2019-16884).
"""

from __future__ import annotations

import os

from orchestra.engine.linux import host, syscalls
from orchestra.engine.linux.flags import FsMagic, Resolve
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.engine.runtime.mounts import new_filesystem
from orchestra.engine.runtime.resolve import is_on
from orchestra.oci.runtime import Process
from orchestra.values import dataclass

_UNLABELLED = frozenset({"proc", "sysfs", "mqueue", "cgroup", "cgroup2"})


@dataclass(frozen=True, slots=True)
class Label:
    """What is written to the first of ``files`` (below /proc/PID/attr) that is there."""

    key: str
    files: tuple[str, ...]
    value: str


def plan_labels(process: Process) -> tuple[Label, ...]:
    """Return the labels of a process to be.

    :raises RuntimeFailure: where the host does not have the module.
    """
    labels = []
    if profile := process.get("apparmorProfile"):
        if not host.has_apparmor():
            raise RuntimeFailure("cannot set apparmorProfile: this host has no AppArmor")
        label = Label("apparmorProfile", ("apparmor/exec", "exec"), f"exec {profile}")
        labels.append(label)
    if context := process.get("selinuxLabel"):
        if not host.has_selinux():
            raise RuntimeFailure("cannot set selinuxLabel: this host has no SELinux")
        labels.append(Label("selinuxLabel", ("exec",), context))
    return tuple(labels)


def take(labels: tuple[Label, ...]) -> None:
    """Have this process get its labels by its next execve.

    :raises RuntimeFailure: when a module does not know the label, or does not allow it.
    """
    if not labels:
        return
    procfs = _open_procfs()
    try:
        for label in labels:
            try:
                _write(procfs, label)
            except OSError as err:
                raise failed(f'set {label.key} to "{label.value}"', err) from err
    finally:
        os.close(procfs)


def _open_procfs() -> int:
    """Return a procfs: a new one or, where masks forbid that (a user namespace), the one here.

    :raises RuntimeFailure: when there is none.
    """
    try:
        return new_filesystem("proc", "proc", (), 0)
    except PermissionError:
        pass
    flags = os.O_PATH | os.O_DIRECTORY
    fd = syscalls.openat2(-100, "/proc", flags, resolve=Resolve.NO_SYMLINKS)
    if not is_on(fd, FsMagic.PROC):
        os.close(fd)
        raise RuntimeFailure("cannot set a label: /proc is no procfs")
    return fd


def _write(procfs: int, label: Label) -> None:
    resolve = Resolve.NO_SYMLINKS | Resolve.NO_XDEV
    for name in label.files:
        path = f"{os.getpid()}/attr/{name}"
        try:
            fd = syscalls.openat2(procfs, path, os.O_WRONLY, resolve=resolve)
        except FileNotFoundError:
            if name == label.files[-1]:
                raise
            continue
        try:
            os.write(fd, label.value.encode())
        except FileNotFoundError as err:
            profile = label.value.removeprefix("exec ")
            raise RuntimeFailure(
                f'cannot set {label.key}: AppArmor has no profile "{profile}" loaded'
            ) from err
        finally:
            os.close(fd)
        return


def mount_label(label: str) -> str:
    """Return the context of the container's mounts; "" where files have none."""
    return label if label and host.has_selinux() else ""


def label_of(fstype: str, label: str) -> str:
    """Return the context of the files of a new file system; the kernel's own have theirs."""
    return "" if fstype in _UNLABELLED else label
