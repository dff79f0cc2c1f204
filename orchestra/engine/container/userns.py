"""Remapped ids: the config file's ``userns-remap``, as the Docker Engine has it.

Every container gets a user namespace whose ids are some of those that /etc/subuid and /etc/subgid
give to a user; ``userns_mode: host`` and ``privileged`` stay in the host's. Layers and volumes keep
their own ids on disk: they are mounted with mapped owners (shim/mapped.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from orchestra.engine.linux import identity
from orchestra.engine.linux.files import read_bytes
from orchestra.engine.paths import Paths
from orchestra.engine.shim.protocol import UserNamespace
from orchestra.engine.state.records import IdRange, Remap
from orchestra.errors import ContainerError, Location, SpecError
from orchestra.oci.runtime import IdMapping
from orchestra.planner.desired import ContainerSpec
from orchestra.values import dataclass

_KEY = "userns-remap"
_DEFAULT = ("default", "dockremap")
_NOBODY = 65534
SUBUID, SUBGID = "/etc/subuid", "/etc/subgid"


def remap_of(spec: ContainerSpec, paths: Paths) -> Remap | None:
    """Return the ids of a new container; None for the host's own.

    :raises SpecError: when the setting is wrong, or its user has no ids.
    :raises ContainerError: when the container shares what a namespace of ids cannot share.
    """
    user, group = _setting(Path(paths.config))
    if not user or spec.userns_mode == "host" or spec.privileged:
        return None
    _check(spec)
    place = Location(str(paths.config), key=_KEY)
    return Remap(
        uids=_ranges(Path(SUBUID), user, place),
        gids=_ranges(Path(SUBGID), group, place),
        mapped_below=str(paths.volumes),
    )


def _setting(path: Path) -> tuple[str, str]:
    """Return the user and the group that the config file names; both "" where it names none."""
    try:
        text = read_bytes(str(path)).decode()
    except (FileNotFoundError, NotADirectoryError):
        return "", ""
    except (OSError, UnicodeDecodeError) as err:
        raise SpecError(f"cannot read the settings: {err}", location=Location(str(path))) from err
    if _KEY not in text:
        return "", ""
    import tomllib  # noqa: PLC0415 - seldom asked for

    try:
        value = tomllib.loads(text).get(_KEY, "")
    except ValueError as err:
        raise SpecError(f"cannot read the settings: {err}", location=Location(str(path))) from err
    if not isinstance(value, str):
        hint = 'write "default", "user" or "user:group"'
        raise SpecError("expected text", location=Location(str(path), key=_KEY), hint=hint)
    user, _, group = value.partition(":")
    user = _DEFAULT[1] if user == _DEFAULT[0] else user
    return user, group or user


def _check(spec: ContainerSpec) -> None:
    modes = {"network_mode": spec.network_mode, "pid": spec.pid_mode, "ipc": spec.ipc_mode}
    for key, mode in modes.items():
        if (mode == "host" and key != "ipc") or ":" in mode:
            raise ContainerError(
                f'cannot create container "{spec.name}": {key}: {mode} cannot be had with '
                f"remapped ids ({_KEY})",
                hint=f"set services.{spec.service}.userns_mode to host",
            )
    if spec.runtime not in {None, "native"}:
        raise ContainerError(
            f'cannot create container "{spec.name}": remapped ids ({_KEY}) need the native runtime',
            hint=f"remove services.{spec.service}.runtime, or set its userns_mode to host",
        )


def _ranges(path: Path, name: str, place: Location) -> tuple[IdRange, ...]:
    """Return a user's or group's ids, container's first (subuid(5)): all its lines, in order."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    found: list[IdRange] = []
    start = 0
    for line in lines:
        owner, _, numbers = line.strip().partition(":")
        first, _, count = numbers.partition(":")
        if owner == name and first.isdecimal() and count.isdecimal() and int(count):
            found.append(IdRange(container_id=start, host_id=int(first), size=int(count)))
            start += int(count)
    if not found:
        raise SpecError(
            f'"{name}" has no ids in {path}',
            location=place,
            hint=f'add the line "{name}:100000:65536" to {SUBUID} and {SUBGID}',
        )
    return tuple(found)


def mappings(ranges: Sequence[IdRange]) -> list[IdMapping]:
    """Return config.json's form of some ranges."""
    return [{"containerID": r.container_id, "hostID": r.host_id, "size": r.size} for r in ranges]


def shim_namespace(remap: Remap, mapped: Sequence[str]) -> UserNamespace:
    """Return what the shim needs to know; ``mapped`` are the targets of mounts that are ours."""
    return {
        "uids": mappings(remap.uids),
        "gids": mappings(remap.gids),
        "mapped": list(mapped),
    }


def host_id(ranges: Sequence[IdRange], number: int) -> int:
    """Return the host's id of a container's.

    :raises ContainerError: when the container has no such id.
    """
    found = identity.host_id(mappings(ranges), number)
    if found is not None:
        return found
    size = sum(r.size for r in ranges)
    raise ContainerError(
        f"the id {number} is none of the container's, whose ids are remapped",
        hint=f"it has {size} ids; give its user more of them in {SUBUID} and {SUBGID}",
    )


def container_id(ranges: Sequence[IdRange], number: int) -> int:
    """Return the container's id of a host's; one that it has not is nobody's."""
    for r in ranges:
        if r.host_id <= number < r.host_id + r.size:
            return r.container_id + number - r.host_id
    return _NOBODY


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How owners in a running container differ from those of an archive; by default they do not."""

    remap: Remap | None = None

    def outward(self, uid: int, gid: int) -> tuple[int, int]:
        """Return the owner that a container's file is said to have."""
        if self.remap is None:
            return uid, gid
        return container_id(self.remap.uids, uid), container_id(self.remap.gids, gid)

    def inward(self, uid: int, gid: int) -> tuple[int, int]:
        """Return the owner that a file gets in the container.

        :raises ContainerError: when the container has no such id.
        """
        if self.remap is None:
            return uid, gid
        return host_id(self.remap.uids, uid), host_id(self.remap.gids, gid)

    def run(self, work: Callable[[], None]) -> None:
        """Do something in this thread as the container's root, as whom alone files can be made."""
        if self.remap is None:
            work()
            return
        with identity.acting_as(host_id(self.remap.uids, 0), host_id(self.remap.gids, 0)):
            work()
