"""Bundles of busybox in temporary directories, and running them on the native runtime.

A test says what differs from the default bundle, which is like Docker's; the default's walls come
from the same functions as a service's.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestra.engine.container.capabilities import DEFAULT_CAPABILITIES
from orchestra.engine.container.plain_process import capability_sets
from orchestra.engine.container.seccomp import Host, default_profile
from orchestra.engine.linux import host
from orchestra.engine.linux.process import wait_exit
from orchestra.engine.runtime import create as runtime_create
from orchestra.engine.runtime.failure import RuntimeFailure

BUSYBOX = Path("/bin/busybox")
_NAMES = (
    "sh cat ls id sleep mount umount grep readlink hostname true false pwd env stat ps dd kill tty "
    "stty mkdir touch unshare chroot mknod rm wc head find date sed awk tr sort ln ulimit test chmod"
)
APPLETS = _NAMES.split()
MASKED = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
]
READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


def default_mounts() -> list[dict[str, Any]]:
    plain = ["nosuid", "noexec", "nodev"]
    pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
    rows = (
        ("/proc", "proc", "proc", plain),
        ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ("/dev/pts", "devpts", "devpts", pts),
        ("/sys", "sysfs", "sysfs", [*plain, "ro"]),
        ("/sys/fs/cgroup", "cgroup", "cgroup", [*plain, "ro"]),
        ("/dev/mqueue", "mqueue", "mqueue", plain),
        ("/dev/shm", "tmpfs", "shm", [*plain, "mode=1777", "size=67108864"]),
    )
    return [
        {"destination": target, "type": kind, "source": source, "options": options}
        for target, kind, source, options in rows
    ]


def default_config(args: Sequence[str], cgroups_path: str) -> dict[str, Any]:
    machine = os.uname().machine
    profile = default_profile(
        Host(capabilities=DEFAULT_CAPABILITIES, machine=machine, kernel=host.kernel_version())
    )
    return {
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "hostname": "box",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": list(args),
            "env": ["PATH=/bin", "HOME=/root"],
            "cwd": "/",
            "capabilities": capability_sets(DEFAULT_CAPABILITIES, uid=0),
        },
        "mounts": default_mounts(),
        "linux": {
            "namespaces": [{"type": kind} for kind in ("mount", "uts", "pid", "ipc", "cgroup")],
            "cgroupsPath": cgroups_path,
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            "seccomp": profile,
            "maskedPaths": [*MASKED],
            "readonlyPaths": [*READONLY],
        },
    }


@dataclass
class Result:
    code: int
    output: str
    error: str

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


class Bundle:
    """A bundle in ``path``; change ``config`` before ``run``."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.state_root = path / "state"
        self.rootfs = path / "rootfs"
        self.config = default_config(["true"], f"/orchestra/{name}/box")
        for directory in ("bin", "etc", "tmp", "proc", "sys", "dev", "root"):
            (self.rootfs / directory).mkdir(parents=True)
        shutil.copy(BUSYBOX, self.rootfs / "bin/busybox")
        for applet in APPLETS:
            (self.rootfs / "bin" / applet).symlink_to("busybox")
        passwd = "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"
        (self.rootfs / "etc/passwd").write_text(passwd)

    @property
    def process(self) -> dict[str, Any]:
        return self.config["process"]

    @property
    def linux(self) -> dict[str, Any]:
        return self.config["linux"]

    def shell(self, script: str) -> Bundle:
        self.process["args"] = ["sh", "-c", script]
        return self

    def write(self) -> None:
        (self.path / "config.json").write_text(json.dumps(self.config))

    def create(
        self,
        stdio: tuple[int, int, int],
        console_socket: int | None = None,
        meanwhile: Callable[[], None] | None = None,
    ) -> runtime_create.Init:
        self.write()
        return runtime_create.create(
            self.name,
            str(self.path),
            state_root=str(self.state_root),
            stdio=stdio,
            console_socket=console_socket,
            meanwhile=meanwhile,
        )

    def delete(self) -> None:
        runtime_create.delete(self.name, str(self.path), state_root=str(self.state_root))

    def run(self, stdin: int | None = None) -> Result:
        """Run to the end with its output in files; the container is deleted afterwards."""
        output, error = self.path / "stdout", self.path / "stderr"
        null = os.open("/dev/null", os.O_RDONLY)
        fds = [os.open(p, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666) for p in (output, error)]
        try:
            init = self.create((null if stdin is None else stdin, fds[0], fds[1]))
            init.start()
            code = wait_exit(init.pid)["code"]
        finally:
            self.delete()
            for fd in (null, *fds):
                os.close(fd)
        return Result(code, output.read_text(), error.read_text())

    def fail(self) -> RuntimeFailure:
        """Run, which must fail before the program is executed; return the failure."""
        try:
            result = self.run()
        except RuntimeFailure as failure:
            return failure
        raise AssertionError(f"it ran: {result}")
