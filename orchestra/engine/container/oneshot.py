"""Run one process to its end in a throw-away container: a build step, a copy-up.

Same walls as a service's container; no record, no log, no restart. The caller owns the layers and
the upper directory, which afterwards holds the difference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from orchestra.engine.container.launching import LauncherClient
from orchestra.engine.shim.protocol import ShimNetwork
from orchestra.oci.runtime import OciMount

HOST_NETWORK: ShimNetwork = {
    "mode": "host",
    "interfaces": [],
    "dns": False,
    "listen": [],
}
NO_NETWORK: ShimNetwork = {"mode": "new", "interfaces": [], "dns": False, "listen": []}


@dataclass(frozen=True, slots=True, kw_only=True)
class OneShot:
    """What runs, in what, with which walls.

    ``id`` names the cgroup and must be unique among what runs ([a-zA-Z0-9_.-]). ``directory`` is an
    existing scratch directory of the caller (absolute; bundle and messages go below it; the caller
    removes it). ``layers`` are snapshot directories, uppermost first; ``upper`` and ``work`` are
    existing empty directories on one file system. ``user`` is "name|uid[:group|gid]", "" is root.
    ``env`` is "KEY=value" in order; PATH and HOME are added where missing. ``mounts`` are OCI
    mounts beyond proc, dev, sys (binds: {"destination", "source", "type": "bind",
    "options": ["rbind", "rw"]}). ``resolv_conf`` and ``hosts`` are texts shown at /etc.
    Mount points that had to be made for the run are taken out of ``upper`` again.
    """

    id: str
    project: str
    directory: str
    layers: tuple[str, ...]
    upper: str
    work: str
    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    mounts: tuple[OciMount, ...] = ()
    network: ShimNetwork = field(default_factory=lambda: NO_NETWORK)
    hostname: str = "buildkitsandbox"
    resolv_conf: str | None = None
    hosts: str | None = None
    shm_size_bytes: int | None = None
    runtime: tuple[str, ...] = ()
    privileged: bool = False


async def run_once(
    shot: OneShot,
    *,
    launcher: LauncherClient,
    output: Callable[[str, bytes], None],
) -> int:
    """Run to the end and return the exit code (128+n after signal n).

    ``output`` gets ("stdout" | "stderr", bytes) as they come, in the event loop's thread. When the
    caller is cancelled, or dies, everything in the container is killed.

    :raises ContainerError: when the process cannot be started.
    """
    raise NotImplementedError
