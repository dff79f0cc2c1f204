"""Run one process to its end in a throw-away container: a build step, a copy-up.

Same walls as a service's container; no record, no log, no restart. The caller owns the layers and
the upper directory, which afterwards holds the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

import anyio.to_thread

from orchestra.engine.container.apparmor import default_profile
from orchestra.engine.container.bundle import Surroundings, make_config, network_sysctls
from orchestra.engine.container.cdi import Edits
from orchestra.engine.container.cgroups import cgroup_path
from orchestra.engine.container.host import (
    available_capabilities,
    host_devices,
    seccomp_of,
    thermal_paths,
)
from orchestra.engine.container.launching import LauncherClient
from orchestra.engine.container.layers import exists_in_layers, remove_empty
from orchestra.engine.container.mounts import bind_mount
from orchestra.engine.container.places import Places
from orchestra.engine.container.streams import Pipes
from orchestra.engine.container.users import read_user_files, resolve_user
from orchestra.engine.linux.directories import make_private
from orchestra.engine.shim.identity import write_json
from orchestra.engine.shim.protocol import ShimNetwork, ShimRequest
from orchestra.errors import ContainerError
from orchestra.oci.image import ImageConfig
from orchestra.oci.platform import Platform
from orchestra.oci.runtime import OciMount, RuntimeConfig
from orchestra.planner.desired import ContainerSpec
from orchestra.planner.limits import Resources, Ulimit
from orchestra.values import dataclass, field

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
    existing empty directories on one file system; both "" where ``layers``
    is one plain, writable root. ``user`` is "name|uid[:group|gid]", "" is root.
    ``env`` is "KEY=value" in order; PATH and HOME are added where missing. ``mounts`` are OCI
    mounts beyond proc, dev, sys (binds: {"destination", "source", "type": "bind",
    "options": ["rbind", "rw"]}). ``resolv_conf`` and ``hosts`` are texts shown at /etc.
    ``edits`` are those of devices.
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
    ulimits: tuple[Ulimit, ...] = ()
    cgroup_parent: str = ""
    resources: Resources = Resources()
    edits: Edits = field(default_factory=Edits)


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
    places = Places(Path(shot.directory), Path(shot.directory) / "run")
    stubs = await anyio.to_thread.run_sync(_prepare, shot, places)
    pipes = Pipes()
    try:
        async with launcher.run(str(places.request), pipes.given) as session:
            ended = await pipes.accompany(session, output)
    finally:
        pipes.close()
    await anyio.to_thread.run_sync(_remove_stubs, shot.upper, stubs)
    return ended["code"]


def _prepare(shot: OneShot, places: Places) -> list[str]:
    """Write the bundle and the request; return the mount points that do not exist yet."""
    try:
        make_private(places.bundle / "rootfs")
        mounts = [*_text_mounts(shot, places), *shot.mounts]
        config = _config(shot, mounts)
        write_json(str(places.config), config)
        write_json(str(places.request), _request(shot, places))
    except OSError as err:
        raise ContainerError(f"cannot prepare a run: {err.strerror} ({err.filename})") from err
    targets = [mount["destination"] for mount in config.get("mounts", [])]
    layers = [directory for directory in (shot.upper, *shot.layers) if directory]
    places_on_the_way = {str(path) for target in targets for path in (target, *_parents(target))}
    return [path for path in places_on_the_way if not exists_in_layers(layers, path)]


def _parents(target: str) -> list[str]:
    return [str(path) for path in PurePosixPath(target).parents if path.name]


def _text_mounts(shot: OneShot, places: Places) -> list[OciMount]:
    mounts = []
    texts = {"resolv.conf": shot.resolv_conf, "hosts": shot.hosts}
    for name, text in texts.items():
        if text is not None:
            path = places.directory / name
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644)
            mounts.append(bind_mount(str(path), f"/etc/{name}"))
    return mounts


def _config(shot: OneShot, mounts: Sequence[OciMount]) -> RuntimeConfig:
    spec = ContainerSpec(
        project=shot.project,
        service="",
        number=1,
        name=shot.id,
        image="",
        config_hash="",
        entrypoint=shot.args,
        working_dir=shot.cwd,
        hostname=shot.hostname,
        shm_size_bytes=shot.shm_size_bytes,
        privileged=shot.privileged,
        unset=_unset(shot.env),
        ulimits=shot.ulimits,
        cgroup_parent=shot.cgroup_parent,
        resources=shot.resources,
    )
    image = ImageConfig(platform=Platform("linux", ""), diff_ids=(), env=shot.env)
    available = available_capabilities()
    files = read_user_files([directory for directory in (shot.upper, *shot.layers) if directory])
    user = resolve_user(shot.user, files)
    around = Surroundings(
        container_id=shot.id,
        cgroup_path=cgroup_path(spec, shot.id),
        mounts=mounts,
        devices=host_devices(spec),
        seccomp=seccomp_of(spec, available),
        available=available,
        thermal=thermal_paths(),
        apparmor=default_profile(),
        edits=shot.edits.owned_by(user.uid, user.gid),
    )
    return make_config(spec, image, user=user, around=around)


def _unset(env: Sequence[str]) -> tuple[str, ...]:
    """Return what a container has in its environment and a build step has not."""
    return () if any(entry.startswith("HOSTNAME=") for entry in env) else ("HOSTNAME",)


def _request(shot: OneShot, places: Places) -> ShimRequest:
    return {
        "version": 1,
        "id": shot.id,
        "project": shot.project,
        "directory": str(places.directory),
        "run_directory": str(places.run_directory),
        "bundle": str(places.bundle),
        "runtime": list(shot.runtime),
        "rootfs": {"lower": list(shot.layers), "upper": shot.upper, "work": shot.work},
        "files": [],
        "network": _network(shot.network),
        "tty": False,
        "stdin": False,
        "output": "inherit",
        "log": {"driver": "none", "max_size_bytes": 0, "max_file": 1},
    }


def _network(network: ShimNetwork) -> ShimNetwork:
    if network["mode"] != "new" or "sysctl" in network:
        return network
    return {**network, "sysctl": network_sysctls({})}


def _remove_stubs(upper: str, targets: Sequence[str]) -> None:
    """Take out of ``upper`` what was made only to mount on, inner before outer, when empty."""
    if not upper:
        return
    for target in sorted(targets, key=len, reverse=True):
        remove_empty(upper, target)
