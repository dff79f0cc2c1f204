"""What a container finds on disk before it starts: directories, bundle, hosts files, binds.

Makes files and directories only; mounting is the shim's, in its own namespace.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestra.engine.container.accelerators import edits_of
from orchestra.engine.container.apparmor import default_profile
from orchestra.engine.container.bundle import Surroundings, hostname_of, make_config
from orchestra.engine.container.host import (
    available_capabilities,
    block_io_of,
    host_devices,
    init_program,
    seccomp_of,
    thermal_paths,
)
from orchestra.engine.container.left_out import possible
from orchestra.engine.container.mounts import bind_mount, file_mounts, user_mounts
from orchestra.engine.container.places import Places
from orchestra.engine.container.security_options import Contexts, parse_security
from orchestra.engine.container.selinux import contexts_of, relabel
from orchestra.engine.container.stages import stage_volumes
from orchestra.engine.container.storage import limit_layer
from orchestra.engine.container.userns import mappings
from orchestra.engine.container.users import read_user_files, resolve_user
from orchestra.engine.linux.directories import make_private
from orchestra.engine.linux.files import write_file
from orchestra.engine.network.hosts import ResolvConf, container_files
from orchestra.engine.shim.rootfs import FILES_DIRECTORY
from orchestra.engine.state.records import ContainerRecord
from orchestra.errors import ContainerError
from orchestra.oci.image import ImageConfig
from orchestra.oci.runtime import OciMount
from orchestra.planner.desired import ContainerSpec, Mount, MountKind
from orchestra.values import replace

_NETWORK_FILES = ("hosts", "resolv.conf", "hostname")


def write_container_files(
    places: Places,
    record: ContainerRecord,
    image: ImageConfig,
    *,
    volumes: Mapping[str, str],
    cgroup_path: str,
    host: ResolvConf,
) -> None:
    """Make a container's directories and write its bundle; ``volumes``: target -> host directory.

    ``host`` is what the host asks for names.

    :raises ContainerError: when the spec cannot be met here.
    """
    spec = record.spec
    try:
        if spec.storage_bytes is not None:
            make_private(places.upper.parent)
            limit_layer(places.upper.parent, spec.storage_bytes, record.id)
        _make_directories(str(places.directory))
        places.write_image(image)
        contexts = contexts_of(parse_security(spec.security_opt).labels)
        sources = stage_volumes(places, spec.mounts, record.images, volumes)
        mounts = [
            *_network_mounts(places, record, host, contexts),
            *user_mounts(_with_sources(spec.mounts), sources),
            *file_mounts(spec.files, str(places.run_directory / FILES_DIRECTORY)),
        ]
        config = _config(record, image, mounts, cgroup_path, contexts)
        text = json.dumps(config, separators=(",", ":"))
        write_file(str(places.config), text.encode(), 0o600)
    except OSError as err:
        raise ContainerError(
            f'cannot prepare container "{spec.name}": {err.strerror} ("{err.filename}")'
        ) from err


def _make_directories(directory: str) -> None:
    """Make a container's own: each after the one above it, which spares asking."""
    for name in ("", "/bundle", "/bundle/rootfs", "/rw", "/rw/upper", "/rw/work"):
        make_private(f"{directory}{name}")
    os.chmod(f"{directory}/rw/upper", 0o755)  # noqa: PTH101, S103 - as the root of an image has


def _config(
    record: ContainerRecord,
    image: ImageConfig,
    mounts: Sequence[OciMount],
    cgroup_path: str,
    contexts: Contexts,
) -> object:
    spec = replace(record.spec, resources=possible(record.spec.resources).resources)
    available = available_capabilities()
    files = read_user_files(record.layers)  # its own layer is empty yet
    user = resolve_user(image.user if spec.user is None else spec.user, files, spec.group_add)
    around = Surroundings(
        container_id=record.id,
        cgroup_path=cgroup_path,
        mounts=mounts,
        devices=host_devices(spec),
        block_io=block_io_of(spec),
        seccomp=seccomp_of(spec, available),
        available=available,
        thermal=thermal_paths(),
        apparmor=default_profile(),
        contexts=contexts,
        uids=mappings(record.remap.uids) if record.remap else (),
        gids=mappings(record.remap.gids) if record.remap else (),
        edits=edits_of(spec.device_requests).owned_by(user.uid, user.gid),
        init_program=init_program(spec),
    )
    return make_config(spec, image, user=user, around=around)


def _network_mounts(
    places: Places, record: ContainerRecord, host: ResolvConf, contexts: Contexts
) -> list[OciMount]:
    """Write hosts, resolv.conf, hostname and bind them; who joins a network gets them at start."""
    spec = record.spec
    if joins_network(spec):
        return []
    files = container_files(
        spec, record.endpoints, hostname=hostname_of(spec, record.id), host=host
    )
    texts = (files.hosts, files.resolv_conf, files.hostname)
    for name, text in zip(_NETWORK_FILES, texts, strict=True):
        path = f"{places.directory}/{name}"
        write_file(path, text.encode(), 0o644)
        relabel(path, contexts.files)
    return network_file_mounts(places.directory)


def network_file_mounts(directory: Path) -> list[OciMount]:
    """Return the binds of a container's own (or another's) hosts, resolv.conf and hostname."""
    return [bind_mount(f"{directory}/{name}", f"/etc/{name}") for name in _NETWORK_FILES]


def joins_network(spec: ContainerSpec) -> bool:
    """Tell whether the container shares another one's network."""
    return spec.network_mode.startswith(("service:", "container:"))


def _with_sources(mounts: Sequence[Mount]) -> Sequence[Mount]:
    """Make missing host directories of binds, where allowed (compose-spec, create_host_path).

    :raises ContainerError: when one is missing and is not to be made.
    """
    for mount in mounts:
        if mount.kind is not MountKind.BIND or os.path.exists(mount.source):  # noqa: PTH110
            continue
        if not mount.create_host_path:
            raise ContainerError(
                f'cannot bind "{mount.source}": there is no such file or directory',
                hint="make it, or set create_host_path: true",
            )
        Path(mount.source).mkdir(parents=True, exist_ok=True)
    return mounts


def remove_tree(path: Path) -> None:
    """Remove a directory with all that is in it; a missing one is no error.

    :raises ContainerError: when something in it cannot be removed.
    """
    try:
        import shutil  # noqa: PLC0415 - takes longer than most of what is done here

        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError as err:
        raise ContainerError(f'cannot remove "{err.filename}": {err.strerror}') from err
