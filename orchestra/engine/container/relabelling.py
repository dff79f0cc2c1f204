"""SELinux's labels of what a container shows of the host: binds and volumes marked z and Z.

As moby does at each start (volume/mounts, MountPoint.Setup) by go-selinux (label.Relabel): z gives
files the context that every container may open, Z that of this container alone, its categories
included; a container with a label of its own has its volumes marked z. Containers without one are
not confined, but files that are to be shared, or kept from others, are so by what they are: they
get what the policy has for containers' files. Places that the host lives by are refused.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestra.engine.container.places import Places
from orchestra.engine.container.selinux import files_context, shared
from orchestra.engine.container.stages import standing_stages
from orchestra.engine.linux import host
from orchestra.engine.shim.protocol import Stage
from orchestra.engine.shim.stages import STAGES_DIRECTORY
from orchestra.engine.state.records import ContainerRecord
from orchestra.errors import ContainerError
from orchestra.oci.runtime import RuntimeConfig
from orchestra.planner.desired import MountKind

_XATTR = "security.selinux"
_PASSED_OVER = frozenset({errno.ENOENT, errno.ENOTSUP})
"""What is gone meanwhile, and file systems that have one label for all."""
_REFUSED = frozenset(
    {"/", "/bin", "/boot", "/dev", "/etc", "/etc/passwd", "/etc/pki", "/etc/shadow", "/home"}
    | {"/lib", "/lib64", "/media", "/opt", "/proc", "/root", "/run", "/sbin", "/srv", "/sys"}
    | {"/tmp", "/usr", "/var", "/var/lib", "/var/log"}  # noqa: S108 - it is not written to
)
_SHARED, _OWN = "z", "Z"


def relabel_mounts(record: ContainerRecord, places: Places) -> None:
    """Relabel what the container's mounts ask for; nothing where SELinux is off.

    :raises ContainerError: when a place must keep its labels, or the kernel refuses.
    """
    if not host.has_selinux() or not (record.volumes or _asks(record)):
        return
    config = places.read_config()
    own = config["linux"].get("mountLabel", "")
    marks = _marks(record, confined=bool(own))
    context = own or (files_context(record.id) if marks else "")
    if not context:
        return
    wanted = [
        (_resolved(source, marks[target]), shared(context) if marks[target] == _SHARED else context)
        for target, source in _sources(config, places).items()
        if target in marks
    ]
    for path, label in wanted:
        _relabel(path, label)


def _asks(record: ContainerRecord) -> bool:
    return any(mount.selinux for mount in record.spec.mounts)


def _marks(record: ContainerRecord, *, confined: bool) -> Mapping[str, str]:
    """Return z or Z by target."""
    marks = {use.target: _SHARED for use in record.volumes} if confined else {}
    shown = {MountKind.BIND, MountKind.VOLUME}
    asked = {m.target: m.selinux for m in record.spec.mounts if m.selinux and m.kind in shown}
    return {**marks, **asked}


def _sources(config: RuntimeConfig, places: Places) -> Mapping[str, str]:
    """Return the places on the host by target; of a part of a volume, the whole volume's."""
    stages = places.run_directory / STAGES_DIRECTORY
    whole = {str(stages / stage["name"]): stage["source"] for stage in _volumes(places)}
    return {
        mount["destination"]: whole.get(mount["source"], mount["source"])
        for mount in config.get("mounts", [])
        if mount.get("type") == "bind" and "source" in mount
    }


def _volumes(places: Places) -> Iterator[Stage]:
    return (stage for stage in standing_stages(places) if "source" in stage)


def _resolved(source: str, mark: str) -> Path:
    """Return where a source is, symbolic links followed.

    :raises ContainerError: when it must not be relabelled.
    """
    path = Path(source).resolve()
    homes = {os.path.expanduser("~"), os.path.expanduser(f"~{os.environ.get('SUDO_USER', '')}")}  # noqa: PTH111 - "~" may lead nowhere
    if str(path) in _REFUSED | homes:
        raise ContainerError(
            f'cannot relabel "{path}" for SELinux ("{mark}"): the host needs its labels there',
            hint=f'bind a directory below it, or leave out "{mark}" (bind.selinux)',
        )
    return path


def _relabel(path: Path, label: str) -> None:
    """Give a file, or a directory and all below it, a label; the topmost comes last.

    Each is reached from its open directory and by a name that is not followed: a container that
    writes there meanwhile cannot lead elsewhere.
    """
    try:
        for place in _below(path):
            _set(place, label)
        _set(str(path), label)
    except OSError as err:
        raise ContainerError(
            f'cannot relabel "{path}" for SELinux with "{label}": {err.strerror}',
            hint="leave out z and Z (bind.selinux) if its files are to stay as they are",
        ) from err


def _below(path: Path) -> Iterator[str]:
    if not path.is_dir():
        return
    for _, directories, files, fd in os.fwalk(path, topdown=False):
        for name in (*files, *directories):
            yield f"/proc/self/fd/{fd}/{name}"


def _set(place: str, label: str) -> None:
    value = label.encode() + b"\0"
    try:
        if os.getxattr(place, _XATTR, follow_symlinks=False) != value:
            os.setxattr(place, _XATTR, value, follow_symlinks=False)
    except OSError as err:
        if err.errno not in _PASSED_OVER:
            raise
