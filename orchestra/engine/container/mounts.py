"""A container's mounts in the terms of config.json. Pure; nothing is looked at, nothing made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from orchestra.errors import ContainerError
from orchestra.oci.runtime import OciMount
from orchestra.planner.desired import FileMount, Mount, MountKind

DEFAULT_SHM_BYTES = 64 * 1024 * 1024
_TMPFS_DEFAULTS = ("noexec", "nosuid", "nodev")
_OPPOSITES = {"exec": "noexec", "suid": "nosuid", "dev": "nodev"}


def default_mounts(*, privileged: bool, shm_bytes: int | None, host_ipc: bool) -> list[OciMount]:
    """Return what every container has: proc, dev, pts, sys, cgroup, mqueue, shm (as Docker)."""
    access = [] if privileged else ["ro"]
    return [
        _mount("/proc", "proc", "proc", "nosuid noexec nodev"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid strictatime mode=755 size=65536k"),
        _mount(
            "/dev/pts",
            "devpts",
            "devpts",
            "nosuid noexec newinstance ptmxmode=0666 mode=0620 gid=5",
        ),
        _mount("/sys", "sysfs", "sysfs", " ".join(["nosuid noexec nodev", *access])),
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", " ".join([*access, "nosuid noexec nodev"])),
        *_ipc_mounts(shm_bytes, host_ipc=host_ipc),
    ]


def _ipc_mounts(shm_bytes: int | None, *, host_ipc: bool) -> list[OciMount]:
    if host_ipc:
        return [
            # Of the namespace that mounts it, so the host's; not every host has it mounted.
            _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid noexec nodev"),
            _mount("/dev/shm", "bind", "/dev/shm", "rbind nosuid noexec nodev"),  # noqa: S108
        ]
    size = DEFAULT_SHM_BYTES if shm_bytes is None else shm_bytes
    return [
        _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid noexec nodev"),
        _mount("/dev/shm", "tmpfs", "shm", f"nosuid noexec nodev mode=1777 size={size}"),  # noqa: S108
    ]


def _mount(destination: str, kind: str, source: str, options: str) -> OciMount:
    return {
        "destination": destination,
        "type": kind,
        "source": source,
        "options": options.split(),
    }


def bind_mount(
    source: str,
    target: str,
    *,
    read_only: bool = False,
    propagation: str = "rprivate",
    recursive: str = "writable",
) -> OciMount:
    """Return a bind; ``recursive`` as in Compose.

    Read-only with "enabled" or "readonly", what is mounted below is read-only as well (docker's
    rro, Linux 5.12); with "writable" only the mount itself; "disabled" leaves that out altogether.
    """
    options = ["bind" if recursive == "disabled" else "rbind", "ro" if read_only else "rw"]
    if read_only and recursive in {"enabled", "readonly"}:
        options.append("rro")
    options.append(propagation or "rprivate")
    return {"destination": target, "type": "bind", "source": source, "options": options}


def user_mounts(mounts: Sequence[Mount], volumes: Mapping[str, str]) -> list[OciMount]:
    """Return the mounts a service asks for; ``volumes``: target -> host directory.

    Volumes of ``volumes`` that no mount names (an image's own) are mounted as well. Outer mounts
    come before inner ones.

    :raises ContainerError: when a volume has no directory.
    """
    result = [_user_mount(mount, volumes) for mount in mounts]
    named = {mount.target for mount in mounts}
    result += [
        bind_mount(source, target) for target, source in volumes.items() if target not in named
    ]
    return sorted(result, key=lambda mount: _depth(mount["destination"]))


def _depth(target: str) -> tuple[int, str]:
    return len([part for part in target.split("/") if part]), target


def _user_mount(mount: Mount, volumes: Mapping[str, str]) -> OciMount:
    if mount.kind is MountKind.TMPFS:
        return _tmpfs_mount(mount)
    source = mount.source
    if mount.kind in {MountKind.VOLUME, MountKind.IMAGE}:
        if mount.target not in volumes:
            raise ContainerError(f'no volume was made for the mount at "{mount.target}"')
        source = volumes[mount.target]
    return bind_mount(
        source,
        mount.target,
        read_only=mount.read_only,
        propagation=mount.propagation,
        recursive=mount.recursive,
    )


def _tmpfs_mount(mount: Mount) -> OciMount:
    given = list(mount.tmpfs_options)
    options = [
        option
        for option in _TMPFS_DEFAULTS
        if not any(_OPPOSITES.get(text) == option for text in given)
    ]
    options += [text for text in given if text not in options]
    if mount.tmpfs_size_bytes:
        options.append(f"size={mount.tmpfs_size_bytes}")
    if mount.tmpfs_mode is not None:
        options.append(f"mode={mount.tmpfs_mode:o}")
    if mount.read_only:
        options.append("ro")
    return {
        "destination": mount.target,
        "type": "tmpfs",
        "source": "tmpfs",
        "options": options,
    }


def file_mounts(files: Sequence[FileMount], directory: str) -> list[OciMount]:
    """Return the read-only binds of configs and secrets: file N is ``directory``/N."""
    return [
        bind_mount(f"{directory}/{index}", file.target, read_only=True)
        for index, file in enumerate(files)
    ]


def root_propagation(mounts: Sequence[Mount]) -> str:
    """Return the propagation of the root that the binds need (runtime-spec rootfsPropagation)."""
    asked = {mount.propagation for mount in mounts}
    if asked & {"shared", "rshared"}:
        return "shared"
    if asked & {"slave", "rslave"}:
        return "rslave"
    return "rprivate"
