"""What this host adds to a bundle: its devices, capabilities, seccomp profile, thermal paths."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from orchestra.engine.container.bundle import granted_capabilities
from orchestra.engine.container.capabilities import ALL_CAPABILITIES
from orchestra.engine.container.runtime import runtime_prefix
from orchestra.engine.container.seccomp import Host, default_profile, load_profile
from orchestra.engine.container.security_options import parse_security
from orchestra.engine.linux.host import kernel_version
from orchestra.engine.linux.syscalls import capget
from orchestra.errors import ContainerError
from orchestra.oci.runtime import BlockIo, Device, Seccomp, ThrottleDevice
from orchestra.planner.desired import ContainerSpec
from orchestra.planner.limits import BlockLimit, DeviceSpec

_INITS = (
    "docker-init",
    "tini-static",
    "/usr/libexec/docker/docker-init",
    "catatonit",
    "/usr/libexec/podman/catatonit",
    "/usr/lib/podman/catatonit",
)
"""Statically linked: they run in any image."""
_CPUS = "/sys/devices/system/cpu"
_PERMISSIONS = frozenset("rwm")
_NOT_PASSED = frozenset({"console", "ptmx", "tty", "null", "zero", "full", "random", "urandom"})


@cache
def available_capabilities() -> tuple[str, ...]:
    """Return the capabilities that this process has, so that it can grant them.

    It never gives one up.
    """
    mask = capget()[1]
    return tuple(name for bit, name in enumerate(ALL_CAPABILITIES) if mask >> bit & 1)


def seccomp_of(spec: ContainerSpec, available: Sequence[str]) -> Seccomp | None:
    """Return the seccomp profile that the spec asks for; None for none.

    :raises ContainerError: when a profile file cannot be read or understood.
    """
    wanted = parse_security(spec.security_opt).seccomp
    if spec.privileged or wanted == "unconfined":
        return None
    granted = granted_capabilities(spec, available)
    host = Host(capabilities=granted, machine=os.uname().machine, kernel=kernel_version())
    if not wanted:
        return default_profile(host)
    try:
        text = Path(wanted).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as err:
        raise ContainerError(
            f'cannot read the seccomp profile "{wanted}": {getattr(err, "strerror", None) or err}',
            hint="security_opt: seccomp=PATH names a file on this host",
        ) from err
    return load_profile(text, host)


def init_program(spec: ContainerSpec) -> str:
    """Return the host's init for ``init: true`` on a runtime that has none; "" where it does.

    :raises ContainerError: when this host has no such program.
    """
    if not spec.init or not runtime_prefix(spec.runtime):
        return ""
    for program in _INITS:
        import shutil  # noqa: PLC0415 - takes longer than most of what is done here

        if found := shutil.which(program):
            return found
    raise ContainerError(
        f'"init: true" on the runtime "{spec.runtime}" needs an init program on this host',
        hint="install tini (docker-init, tini-static or catatonit), or use the native runtime",
    )


def thermal_paths() -> tuple[str, ...]:
    """Return the per-CPU thermal_throttle directories, which tell about the neighbours."""
    try:
        names = os.listdir(_CPUS)  # noqa: PTH208 - at each start
    except FileNotFoundError:
        return ()
    paths = (f"{_CPUS}/{name}/thermal_throttle" for name in names if name.startswith("cpu"))
    return tuple(sorted(path for path in paths if os.access(path, os.F_OK)))


def host_devices(spec: ContainerSpec) -> tuple[tuple[Device, str], ...]:
    """Return the devices to make, with their permissions: those asked for, all when privileged.

    :raises ContainerError: when one is missing or is no device.
    """
    found: list[tuple[Device, str]] = []
    for wanted in spec.devices:
        found += _devices_of(wanted)
    if spec.privileged:
        for path in sorted(Path("/dev").iterdir()):
            device = None if path.name in _NOT_PASSED else _device(path, str(path))
            if device is not None:
                found.append((device, "rwm"))
    return tuple(found)


def block_io_of(spec: ContainerSpec) -> BlockIo:
    """Return the limits of block devices, by the numbers that the devices have here.

    :raises ContainerError: when a path is no block device.
    """
    limits = spec.resources.block_io
    found: BlockIo = {}
    if limits.weight:
        found["weight"] = limits.weight
    if limits.weights:
        found["weightDevice"] = [
            {"major": major, "minor": minor, "weight": weight}
            for major, minor, weight in _numbered(limits.weights)
        ]
    if limits.read_bps:
        found["throttleReadBpsDevice"] = _throttles(limits.read_bps)
    if limits.write_bps:
        found["throttleWriteBpsDevice"] = _throttles(limits.write_bps)
    if limits.read_iops:
        found["throttleReadIOPSDevice"] = _throttles(limits.read_iops)
    if limits.write_iops:
        found["throttleWriteIOPSDevice"] = _throttles(limits.write_iops)
    return found


def _throttles(limits: Sequence[BlockLimit]) -> list[ThrottleDevice]:
    return [
        {"major": major, "minor": minor, "rate": rate} for major, minor, rate in _numbered(limits)
    ]


def _numbered(limits: Sequence[BlockLimit]) -> list[tuple[int, int, int]]:
    return [(*_block_device(limit.path), limit.value) for limit in limits]


def _block_device(path: str) -> tuple[int, int]:
    try:
        status = Path(path).stat()
    except OSError as err:
        raise _no_block_device(path, (err.strerror or "").lower()) from err
    if not stat.S_ISBLK(status.st_mode):
        raise _no_block_device(path, "it is no block device")
    return os.major(status.st_rdev), os.minor(status.st_rdev)


def _no_block_device(path: str, why: str) -> ContainerError:
    return ContainerError(
        f'cannot limit block I/O of "{path}": {why}', hint="change blkio_config, or plug it in"
    )


def _devices_of(wanted: DeviceSpec) -> list[tuple[Device, str]]:
    permissions = wanted.permissions or "rwm"
    if not set(permissions) <= _PERMISSIONS:
        raise ContainerError(
            f'device "{wanted.source}": "{permissions}" are no permissions', hint="use r, w, m"
        )
    source = Path(wanted.source)
    if source.is_dir():
        inside = [(path, f"{wanted.target}/{path.name}") for path in sorted(source.iterdir())]
    else:
        inside = [(source, wanted.target)]
    devices = [(_device(path, target), permissions) for path, target in inside]
    result = [(device, text) for device, text in devices if device is not None]
    if not result:
        raise ContainerError(
            f'cannot pass on "{wanted.source}": there is no device',
            hint="change devices, or plug it in",
        )
    return result


def _device(path: Path, target: str) -> Device | None:
    try:
        status = path.lstat() if path.is_symlink() is False else path.stat()
    except OSError:
        return None
    if not (stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode)):
        return None
    return {
        "type": "c" if stat.S_ISCHR(status.st_mode) else "b",
        "path": target,
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
        "fileMode": stat.S_IMODE(status.st_mode),
        "uid": status.st_uid,
        "gid": status.st_gid,
    }
