"""Kernel parameters of a container: only those that its namespaces have for themselves."""

from __future__ import annotations

import os
from collections.abc import Mapping

from orchestra.engine.linux.flags import CloneFlag
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.engine.runtime.namespaces import NamespacePlan, shares_with_host

_IPC = frozenset(
    f"kernel.{name}"
    for name in (
        "msgmax",
        "msgmnb",
        "msgmni",
        "sem",
        "shmall",
        "shmmax",
        "shmmni",
        "shm_rmid_forced",
    )
)


def write_sysctls(sysctls: Mapping[str, str], namespaces: NamespacePlan) -> None:
    """Write parameters from inside the namespaces, through the host's /proc/sys.

    :raises RuntimeFailure: for one that is the whole machine's, or that the kernel refuses.
    """
    for name, value in sorted(sysctls.items()):
        path = _path(name)
        _check(name, path, namespaces)
        try:
            fd = os.open(f"/proc/sys/{path}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, value.encode())
            finally:
                os.close(fd)
        except OSError as err:
            raise failed(f'set sysctl {name} to "{value}"', err) from err


def _path(name: str) -> str:
    """Turn net.ipv4.ip_forward into a path; a name with slashes has its dots kept."""
    path = name if "/" in name.partition(".")[0] else name.replace(".", "\0").replace("/", ".")
    path = path.replace("\0", "/")
    if any(part in {"", ".", ".."} for part in path.split("/")):
        raise RuntimeFailure(f'"{name}" is no sysctl')
    return path


def _check(name: str, path: str, namespaces: NamespacePlan) -> None:
    dotted = path.replace("/", ".")
    if dotted in _IPC or dotted.startswith("fs.mqueue."):
        own = namespaces.has(CloneFlag.NEWIPC)
    elif dotted.startswith("net."):
        own = namespaces.has(CloneFlag.NEWNET) or not shares_with_host("net")
    elif dotted == "kernel.domainname":
        own = namespaces.has(CloneFlag.NEWUTS)
    else:
        own = False
    if not own:
        raise RuntimeFailure(f'sysctl "{name}" is not in a namespace of the container')
