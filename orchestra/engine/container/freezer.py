"""Pause and resume: the freezer of the cgroup that a container's init is in, v1 and v2.

The kernel is the truth: a container is paused when its cgroup is frozen, whoever did it.
"""

from __future__ import annotations

import os
import time

from orchestra.engine.linux import host
from orchestra.engine.linux.proc import read_text
from orchestra.errors import ContainerError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestra.engine.linux.process import Identity

_PATIENCE_SECONDS = 5.0
_PAUSE_SECONDS = 0.002


def is_frozen(init: Identity) -> bool:
    """Tell whether a container is paused, or on its way there."""
    try:
        path, words = _switch(init)
        return read_text(path).strip() in {words[True], "FREEZING"}
    except (OSError, ContainerError):
        return False


def freeze(init: Identity, *, frozen: bool) -> None:
    """Stop or resume every process of a container; return when all have. Blocks.

    :raises ContainerError: when there is no freezer, or a process does not stop within seconds.
    """
    try:
        path, words = _switch(init)
        _write(path, words[frozen])
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while frozen and not _settled(path):
            if time.monotonic() > deadline:
                _write(path, words[False])
                raise ContainerError(
                    "a process does not stop",
                    hint="it waits in the kernel, often for a disk or a network file system",
                )
            time.sleep(
                _PAUSE_SECONDS
            )  # neither version tells of it by an event that can be waited for
            _write(path, words[True])  # v1 misses what forks meanwhile
    except OSError as err:
        raise ContainerError(f"the kernel refuses: {err.strerror}") from err


def _switch(init: Identity) -> tuple[str, dict[bool, str]]:
    """Return the control file and its words.

    :raises ContainerError: when the container has no cgroup of its own, or there is no freezer.
    """
    mounts = _cgroup_mounts()
    cgroups = host.parse_cgroups(mounts, read_text(f"/proc/{init['pid']}/cgroup"))
    trees = {tree.name: tree for tree in cgroups.v1}
    if cgroups.unified is not None:
        trees[""] = cgroups.unified
    name = "" if cgroups.mode == "v2" else "freezer"
    tree = trees.get(name)
    if tree is None or tree.directory == tree.mountpoint:
        raise ContainerError("this host has no freezer, or the container no cgroup")
    if name:
        return f"{tree.directory}/freezer.state", {True: "FROZEN", False: "THAWED"}
    return f"{tree.directory}/cgroup.freeze", {True: "1", False: "0"}


_known_mounts: list[str] = []


def _cgroup_mounts() -> str:
    """Return the lines of mountinfo that tell of cgroups: they stay as they are."""
    if not _known_mounts:
        lines = read_text("/proc/self/mountinfo").splitlines()
        _known_mounts.append("\n".join(line for line in lines if " - cgroup" in line))
    return _known_mounts[0]


def _settled(path: str) -> bool:
    if path.endswith("/freezer.state"):
        return read_text(path).strip() == "FROZEN"
    return "frozen 1" in read_text(f"{os.path.dirname(path)}/cgroup.events").splitlines()  # noqa: PTH120


def _write(path: str, word: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, word.encode())
    finally:
        os.close(fd)
