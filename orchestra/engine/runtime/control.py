"""The verbs upon containers that exist: list, ps, pause, resume, update."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import cast

from orchestra.engine.linux.process import read_text
from orchestra.engine.runtime import features
from orchestra.engine.runtime.config import rootfs_of
from orchestra.engine.runtime.container import Container
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.oci.runtime import LinuxResources
from orchestra.values import TypedDict

_FREEZER_SECONDS = 10.0


class Row(TypedDict):
    """One container, as ``list`` prints it."""

    ociVersion: str
    id: str
    pid: int
    status: str
    bundle: str
    rootfs: str
    created: str
    owner: str


def list_containers(options: argparse.Namespace) -> int:
    """Print every container of the state root."""
    try:
        names = sorted(os.listdir(options.root))  # noqa: PTH208 - pathlib is 8 ms of import
    except FileNotFoundError:
        names = []
    except OSError as err:
        raise failed("list the containers", err) from err
    rows = [row for name in names if (row := _row(options.root, name)) is not None]
    if options.quiet:
        sys.stdout.write("".join(f"{row['id']}\n" for row in rows))
    elif options.format == "json":
        sys.stdout.write(json.dumps(rows) + "\n")
    else:
        _table(rows)
    return 0


def _row(root: str, name: str) -> Row | None:
    """Describe one container; None for what is none, or no more."""
    try:
        container = Container.find(root, name)
        made = os.stat(f"{container.directory.path}/state.json")  # noqa: PTH116 - as above
    except (RuntimeFailure, OSError):
        return None
    status = container.status()
    bundle = container.record["bundle"]
    try:
        rootfs = rootfs_of(container.config(), bundle)
    except RuntimeFailure:
        rootfs = ""
    return {
        "ociVersion": features.OCI_VERSION,
        "id": name,
        "pid": 0 if status == "stopped" else container.pid,
        "status": status,
        "bundle": bundle,
        "rootfs": rootfs,
        "created": timestamp(made.st_mtime_ns),
        "owner": _user(made.st_uid),
    }


def timestamp(nanoseconds: int) -> str:
    """Return a time as RFC 3339 has it, with as much of the second as there is."""
    seconds, fraction = divmod(nanoseconds, 10**9)
    text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    digits = f"{fraction:09d}".rstrip("0")
    return f"{text}.{digits}Z" if digits else f"{text}Z"


def _user(uid: int) -> str:
    import pwd  # noqa: PLC0415 - of this verb alone

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def _table(rows: Sequence[Row]) -> None:
    cells = [("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")]
    cells += [
        (r["id"], str(r["pid"]), r["status"], r["bundle"], r["created"], r["owner"]) for r in rows
    ]
    widths = [max(12, *(len(cell[i]) + 3 for cell in cells)) for i in range(5)]
    for cell in cells:
        row = "".join(text.ljust(width) for text, width in zip(cell, widths, strict=False))
        sys.stdout.write(f"{row}{cell[5]}\n")


def processes(options: argparse.Namespace) -> int:
    """Print the processes of a container: their pids, or what ps(1) says of them."""
    cgroup = Container.find(options.root, options.id).cgroup()
    if not cgroup.exists:
        raise RuntimeFailure("cannot list processes: the container has no cgroup")
    pids = sorted(cgroup.pids())
    if options.format == "json":
        sys.stdout.write(json.dumps(pids) + "\n")
        return 0
    header, *lines = _ps(options.args or ["-ef"]).splitlines()
    try:
        column = header.split().index("PID")
    except ValueError as err:
        raise RuntimeFailure('cannot find the field "PID" in what ps prints') from err
    wanted = {str(pid) for pid in pids}
    kept = [
        row for row in lines if row.split()[column : column + 1] and row.split()[column] in wanted
    ]
    sys.stdout.write("".join(f"{row}\n" for row in (header, *kept)))
    return 0


def _ps(arguments: Sequence[str]) -> str:
    import subprocess  # noqa: PLC0415 - of this verb alone

    try:
        done = subprocess.run(
            ["ps", *arguments], capture_output=True, text=True, check=False, errors="replace"
        )
    except OSError as err:
        raise failed("run ps", err) from err
    if done.returncode or not done.stdout:
        why = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise RuntimeFailure(f"cannot list processes: ps: {why}")
    return done.stdout


def pause(options: argparse.Namespace) -> int:
    """Stop every process of a container, and return once they stand."""
    container = Container.find(options.root, options.id)
    if container.living() == "paused":
        raise RuntimeFailure("container not running")
    cgroup = container.cgroup()
    cgroup.freeze(frozen=True)
    deadline = time.monotonic() + _FREEZER_SECONDS
    while not cgroup.is_frozen():
        if time.monotonic() > deadline:
            cgroup.freeze(frozen=False)
            raise RuntimeFailure("cannot pause: the kernel did not freeze every process in time")
        # v1 gives up on a process that forked meanwhile until it is asked again.
        time.sleep(0.001)
        cgroup.freeze(frozen=True)
    return 0


def resume(options: argparse.Namespace) -> int:
    """Let the processes of a paused container go on."""
    container = Container.find(options.root, options.id)
    if container.status() != "paused":
        raise RuntimeFailure("container not paused")
    container.cgroup().freeze(frozen=False)
    return 0


_FLAGS: Mapping[str, tuple[str, str]] = {
    "memory": ("memory", "limit"),
    "memory_swap": ("memory", "swap"),
    "memory_reservation": ("memory", "reservation"),
    "cpu_shares": ("cpu", "shares"),
    "cpu_quota": ("cpu", "quota"),
    "cpu_period": ("cpu", "period"),
    "cpu_burst": ("cpu", "burst"),
    "cpu_idle": ("cpu", "idle"),
    "cpu_rt_period": ("cpu", "realtimePeriod"),
    "cpu_rt_runtime": ("cpu", "realtimeRuntime"),
    "cpuset_cpus": ("cpu", "cpus"),
    "cpuset_mems": ("cpu", "mems"),
    "pids_limit": ("pids", "limit"),
    "blkio_weight": ("blockIO", "weight"),
}

_ZEROS = frozenset({"burst", "idle"})
"""Where 0 is a value of its own; of every other limit it says nothing."""


def update(options: argparse.Namespace) -> int:
    """Change the limits of a container; what is not named, or 0, stays as it is."""
    container = Container.find(options.root, options.id)
    container.living()
    resources = _read(options.resources) if options.resources else _of_flags(options)
    container.cgroup().update(resources)
    return 0


def _of_flags(options: argparse.Namespace) -> LinuxResources:
    found: dict[str, dict[str, object]] = {}
    for flag, (part, key) in _FLAGS.items():
        value = getattr(options, flag)
        if value or (value == 0 and key in _ZEROS):
            found.setdefault(part, {})[key] = value
    return cast("LinuxResources", found)


def _read(path: str) -> LinuxResources:
    """Read limits from a file or, for "-", from stdin; zeros and nulls are left out."""
    try:
        document = json.loads(sys.stdin.read() if path == "-" else read_text(path))
    except OSError as err:
        raise failed("read the resources", err) from err
    except (ValueError, RecursionError) as err:
        raise RuntimeFailure(f"cannot read the resources: {err}") from err
    if not isinstance(document, dict):
        raise RuntimeFailure("cannot read the resources: they are no object")
    cleaned: dict[str, object] = {}
    for part, values in document.items():
        if isinstance(values, dict):
            kept = {key for key, value in values.items() if value or (value == 0 and key in _ZEROS)}
            cleaned[part] = {key: value for key, value in values.items() if key in kept}
        elif values and part != "devices":
            cleaned[part] = values
        elif values:
            raise RuntimeFailure("cannot update: devices are fixed when a container is made")
    return cast("LinuxResources", {part: values for part, values in cleaned.items() if values})
