"""The verb ``spec``: a config.json to begin with, the one that runc writes."""

from __future__ import annotations

import argparse
import json
import os

from orchestra.engine.linux import host
from orchestra.engine.runtime import features
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.oci.runtime import Linux, Namespace, OciMount, RuntimeConfig

_CAPABILITIES = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MASKED = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
)
_READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def write(options: argparse.Namespace) -> int:
    """Write config.json into the bundle; one that is there is not touched.

    :raises RuntimeFailure: when there is one, or it cannot be written.
    """
    config = config_template(
        own_cgroup=host.cgroups().mode == "v2", rootless=options.rootless_container
    )
    path = f"{options.bundle}/config.json"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        fd = os.open(path, flags, 0o666)
        try:
            os.write(fd, json.dumps(config, indent="\t").encode())
        finally:
            os.close(fd)
    except FileExistsError as err:
        raise RuntimeFailure(f"File {path} exists. Remove it first", errno=err.errno or 0) from err
    except OSError as err:
        raise failed("write config.json", err) from err
    return 0


def config_template(*, own_cgroup: bool, rootless: bool) -> RuntimeConfig:
    """Return the document; ``own_cgroup``: with a cgroup namespace, as on v2."""
    names = list(_CAPABILITIES)
    config: RuntimeConfig = {
        "ociVersion": features.OCI_VERSION,
        "process": {
            "terminal": True,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": [_PATH, "TERM=xterm"],
            "cwd": "/",
            "capabilities": {
                "bounding": names,
                "effective": names,
                "permitted": names,
                "ambient": names,
            },
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "orchestra",
        "mounts": _mounts(rootless=rootless),
        "linux": _linux(own_cgroup=own_cgroup, rootless=rootless),
    }
    return config


def _mounts(*, rootless: bool) -> list[OciMount]:
    quiet = ["nosuid", "noexec", "nodev"]
    pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]
    system: OciMount = {"destination": "/sys", "type": "sysfs", "source": "sysfs"}
    if rootless:  # A new sysfs needs a network namespace of one's own.
        system = {"destination": "/sys", "type": "none", "source": "/sys"}
    binding = ["rbind"] if rootless else []
    shm = [*quiet, "mode=1777", "size=65536k"]
    dev = ["nosuid", "strictatime", "mode=755", "size=65536k"]
    return [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": dev},
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": pts if rootless else [*pts, "gid=5"],
        },
        {"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": shm},  # noqa: S108 - a path of the container
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": quiet},
        {**system, "options": [*binding, *quiet, "ro"]},
        {
            "destination": "/sys/fs/cgroup",
            "type": "cgroup",
            "source": "cgroup",
            "options": [*quiet, "relatime", "ro"],
        },
    ]


def _linux(*, own_cgroup: bool, rootless: bool) -> Linux:
    namespaces: list[Namespace] = [{"type": "pid"}]
    if not rootless:
        namespaces.append({"type": "network"})
    namespaces += [{"type": "ipc"}, {"type": "uts"}, {"type": "mount"}]
    if own_cgroup:
        namespaces.append({"type": "cgroup"})
    linux: Linux = {
        "namespaces": namespaces,
        "maskedPaths": list(_MASKED),
        "readonlyPaths": list(_READONLY),
    }
    if rootless:
        namespaces.append({"type": "user"})
        linux["uidMappings"] = [{"containerID": 0, "hostID": os.geteuid(), "size": 1}]
        linux["gidMappings"] = [{"containerID": 0, "hostID": os.getegid(), "size": 1}]
    else:
        linux["resources"] = {"devices": [{"allow": False, "access": "rwm"}]}
    return linux
