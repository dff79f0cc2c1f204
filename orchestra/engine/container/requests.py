"""The document a shim starts from: a ContainerRecord in the terms of shim/protocol.py."""

from __future__ import annotations

from collections.abc import Sequence

from orchestra.engine.container.apparmor import refresh
from orchestra.engine.container.bundle import network_sysctls
from orchestra.engine.container.log_options import log_options
from orchestra.engine.container.mounts import bind_mount
from orchestra.engine.container.places import Places
from orchestra.engine.container.relabelling import relabel_mounts
from orchestra.engine.container.rootfs import joins_network, network_file_mounts
from orchestra.engine.container.stages import Lender, borrow, read_stages, stage_shm
from orchestra.engine.container.userns import host_id, shim_namespace
from orchestra.engine.linux import host
from orchestra.engine.paths import Paths
from orchestra.engine.shim.identity import write_json
from orchestra.engine.shim.protocol import (
    Identity,
    Interface,
    Listen,
    ShimFile,
    ShimNetwork,
    ShimRequest,
    Stage,
)
from orchestra.engine.shim.stages import STAGES_DIRECTORY
from orchestra.engine.state.records import ContainerRecord, Remap
from orchestra.engine.state.store import Store
from orchestra.errors import ContainerError
from orchestra.oci.runtime import RuntimeConfig
from orchestra.planner.desired import FileMount


def shim_request(
    record: ContainerRecord,
    places: Places,
    *,
    network: ShimNetwork,
    runtime: Sequence[str],
) -> ShimRequest:
    """Return the request of one start.

    :raises ContainerError: when the logging options make no sense.
    """
    spec = record.spec
    stages = read_stages(places)
    request: ShimRequest = {
        "version": 1,
        "id": record.id,
        "project": spec.project,
        "directory": str(places.directory),
        "run_directory": str(places.run_directory),
        "bundle": str(places.bundle),
        "runtime": list(runtime),
        "rootfs": {
            "lower": list(record.layers),
            "upper": str(places.upper),
            "work": str(places.work),
        },
        "stages": stages,
        "files": [shim_file(index, file, record.remap) for index, file in enumerate(spec.files)],
        "network": network,
        "tty": spec.tty,
        "stdin": spec.stdin_open,
        "output": "log",
        "log": log_options(record, places),
    }
    if host.has_selinux() and (context := places.read_config()["linux"].get("mountLabel")):
        request["rootfs"]["context"] = context
        for stage in stages:
            if "rootfs" in stage:
                stage["rootfs"]["context"] = context
    if record.remap is not None:
        mapped = _mapped_targets(record.remap, places, stages)
        request["userns"] = shim_namespace(record.remap, mapped)
    return request


def _mapped_targets(remap: Remap, places: Places, stages: Sequence[Stage]) -> list[str]:
    """Return where a container with remapped ids sees what is its own: volumes, hosts files.

    An image's files are mapped layer by layer, and configs and secrets have their owners already.
    """
    ours = (f"{remap.mapped_below}/", f"{places.directory}/")
    prefix = f"{places.run_directory}/{STAGES_DIRECTORY}/"
    parts = {f"{prefix}{s['name']}" for s in stages if s.get("source", "").startswith(ours)}
    return [
        mount["destination"]
        for mount in places.read_config().get("mounts", [])
        if mount.get("source", "").startswith(ours) or mount.get("source", "") in parts
    ]


def shim_file(index: int, file: FileMount, remap: Remap | None = None) -> ShimFile:
    """Return a config or secret as the shim's file number ``index``."""
    entry: ShimFile = {
        "name": str(index),
        "uid": host_id(remap.uids, file.uid) if remap else file.uid,
        "gid": host_id(remap.gids, file.gid) if remap else file.gid,
        "mode": file.mode,
    }
    if file.source_path is not None:
        entry["source_path"] = file.source_path
    else:
        entry["content"] = file.content or ""
    return entry


class Neighbours:
    """Other containers whose namespaces a container joins: by service, by name, by id."""

    def __init__(self, paths: Paths, store: Store) -> None:
        self._paths = paths
        self._store = store

    def network(
        self, record: ContainerRecord, interfaces: list[Interface], listen: list[Listen]
    ) -> ShimNetwork:
        """Return the network of a start.

        :raises ContainerError: when it joins a container that does not run.
        """
        mode = record.spec.network_mode
        network: ShimNetwork = {
            "mode": "new",
            "interfaces": interfaces,
            "dns": bool(interfaces),
            "listen": listen,
            "sysctl": network_sysctls(record.spec.sysctls),
        }
        if mode == "host":
            return {"mode": "host", "interfaces": [], "dns": False, "listen": []}
        if joins_network(record.spec):
            _, init = self._find(record, mode)
            network = {"mode": "join", "interfaces": [], "dns": False, "listen": [], "join": init}
        return network

    def complete(self, record: ContainerRecord, places: Places) -> ContainerRecord:
        """Write into config.json what is known at a start: neighbours' namespaces, files, volumes.

        Files that are to be relabelled are. Returns the record, with the volumes that it borrows.

        :raises ContainerError: when one does not run, or is not there, or must keep its labels.
        """
        spec = record.spec
        refresh(spec, places.config)
        if spec.volumes_from:
            config = places.read_config()
            record = borrow(record, places, config, self._lenders(record))
            write_json(str(places.config), config)
        relabel_mounts(record, places)
        modes = {"pid": spec.pid_mode, "ipc": spec.ipc_mode}
        shared = {kind: mode for kind, mode in modes.items() if ":" in mode}
        if not shared and not joins_network(spec):
            return record
        config = places.read_config()
        for kind, mode in shared.items():
            _, init = self._find(record, mode)
            _set_namespace(config, kind, f"/proc/{init['pid']}/ns/{kind}")
            if kind == "ipc":
                _share_shm(config, stage_shm(places, init))
        if joins_network(spec):
            neighbour, _ = self._find(record, spec.network_mode)
            _set_network_files(config, neighbour)
        write_json(str(places.config), config)
        return record

    def _lenders(self, record: ContainerRecord) -> list[Lender]:
        found = []
        for source in record.spec.volumes_from:
            others = self._candidates(record, source.kind, source.name)
            others = [other for other in others if other.id != record.id]
            if not others:
                raise ContainerError(
                    f'cannot start container "{record.spec.name}": there is no {source.kind} '
                    f'"{source.name}" whose volumes it could use',
                    hint="correct volumes_from, or make that container first",
                )
            first = min(others, key=lambda other: other.spec.number)
            places = Places.of(self._paths, first)
            found.append(Lender(record=first, places=places, read_only=source.read_only))
        return found

    def _find(self, record: ContainerRecord, mode: str) -> tuple[Places, Identity]:
        kind, _, name = mode.partition(":")
        for other in self._candidates(record, kind, name):
            places = Places.of(self._paths, other)
            init = places.init()
            if init is not None:
                return places, init
        raise ContainerError(
            f'cannot start container "{record.spec.name}": the {kind} "{name}" whose namespace '
            "it joins does not run",
            hint=f"start {name} first",
        )

    def _candidates(self, record: ContainerRecord, kind: str, name: str) -> list[ContainerRecord]:
        """Return the newest first."""
        projects = [record.spec.project]
        if kind == "container":
            projects += [p for p in self._store.projects() if p != record.spec.project]
        records = [other for project in projects for other in self._store.containers(project)]
        if kind == "service":
            found = [o for o in records if o.spec.service == name and not o.one_off]
        else:
            found = [o for o in records if o.spec.name == name or o.id.startswith(name)]
        return sorted(found, key=lambda other: other.created_at, reverse=True)


def _set_namespace(config: RuntimeConfig, kind: str, path: str) -> None:
    for namespace in config.get("linux", {}).get("namespaces", []):
        if namespace["type"] == kind:
            namespace["path"] = path


def _share_shm(config: RuntimeConfig, source: str) -> None:
    """Let /dev/shm be the neighbour's: POSIX shared memory is a file system, not a namespace."""
    mounts = config.get("mounts", [])
    for index, mount in enumerate(mounts):
        if mount["destination"] == "/dev/shm":  # noqa: S108 - a place inside the container
            mounts[index] = bind_mount(source, "/dev/shm")  # noqa: S108


def _set_network_files(config: RuntimeConfig, neighbour: Places) -> None:
    binds = network_file_mounts(neighbour.directory)
    targets = {bind["destination"] for bind in binds}
    kept = [mount for mount in config.get("mounts", []) if mount["destination"] not in targets]
    config["mounts"] = [*kept, *(bind for bind in binds)]
