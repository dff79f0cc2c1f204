"""The verb ``exec``: a process of a container from a file, or from flags over the container's."""

from __future__ import annotations

import argparse
import json
from typing import cast

from orchestra.engine.linux import process as processes
from orchestra.engine.runtime import exec as entering
from orchestra.engine.runtime import streams
from orchestra.engine.runtime.container import Container
from orchestra.engine.runtime.create import reap
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.oci.runtime import Capabilities, Process, User


def run(options: argparse.Namespace) -> int:
    """Run a process in a container; return its exit code, or 0 at once with ``--detach``."""
    streams.check_preserved(options.preserve_fds)
    container = Container.find(options.root, options.id)
    status = container.status()
    if status == "stopped":
        raise RuntimeFailure("cannot exec in a stopped container")
    if status == "paused" and not options.ignore_paused:
        raise RuntimeFailure("cannot exec in a paused container (use --ignore-paused to override)")
    config = container.config()
    process = _process(options, config.get("process") or {})
    foreground = streams.own_terminal(options, wanted=process.get("terminal", False))
    try:
        pid = entering.execute(
            container.pid,
            process,
            config=config,
            stdio=(0, 1, 2),
            console_socket=foreground.theirs
            if foreground
            else streams.connect(options.console_socket),
            preserved_fds=options.preserve_fds,
            cgroup=container.cgroup().below(_places(options.cgroup)) if options.cgroup else None,
        )
        try:
            streams.write_pid(options.pid_file, pid)
            if foreground is not None:
                return foreground.wait(pid)
        except RuntimeFailure:
            reap(pid)
            raise
    finally:
        if foreground is not None:
            foreground.close()
    return 0 if options.detach else streams.wait_forwarding(pid)


def _places(values: list[str]) -> dict[str, str]:
    """Read ``--cgroup``: a path below the container's cgroup for each controller, "" for all."""
    places: dict[str, str] = {}
    for value in values:
        controllers, colon, path = value.rpartition(":")
        if not colon and len(values) > 1:
            raise RuntimeFailure(f'--cgroup "{value}" names no controller, as one of several')
        for controller in controllers.split(","):
            if controller in places:
                raise RuntimeFailure(f'--cgroup names the controller "{controller}" twice')
            places[controller] = path
    return places


def _process(options: argparse.Namespace, container: Process) -> Process:
    if options.process:
        return _read(options.process)
    process: Process = {**container, "args": options.args, "terminal": options.tty}
    process["env"] = [*(container.get("env") or []), *options.env]
    if options.cwd:
        process["cwd"] = options.cwd
    user: User = {**(container.get("user") or {"uid": 0, "gid": 0})}
    if options.user:
        user.update(_user(options.user))
    if options.additional_gids:
        user["additionalGids"] = options.additional_gids
    process["user"] = user
    if options.cap:
        process["capabilities"] = _more(container.get("capabilities") or {}, options.cap)
    if options.no_new_privs:
        process["noNewPrivileges"] = True
    if options.process_label:
        process["selinuxLabel"] = options.process_label
    if options.apparmor:
        process["apparmorProfile"] = options.apparmor
    return process


def _read(path: str) -> Process:
    try:
        document = json.loads(processes.read_text(path))
    except OSError as err:
        raise failed("read the process", err) from err
    except (ValueError, RecursionError) as err:
        raise RuntimeFailure(f"cannot read {path}: {err}") from err
    if not isinstance(document, dict):
        raise RuntimeFailure(f"cannot read {path}: it is no object")
    return cast("Process", document)


def _user(text: str) -> User:
    uid, colon, gid = text.partition(":")
    numbers = (uid, gid) if colon else (uid, "0")
    if not all(number.isascii() and number.isdigit() for number in numbers):
        raise RuntimeFailure(f'"{text}" is not UID[:GID]')
    return {"uid": int(uid), "gid": int(numbers[1])}


def _more(container: Capabilities, names: list[str]) -> Capabilities:
    """Add capabilities to what the container's own process may have."""

    def grown(held: list[str] | None) -> list[str]:
        return [*(held or []), *(name for name in names if name not in (held or []))]

    return {
        **container,
        "bounding": grown(container.get("bounding")),
        "effective": grown(container.get("effective")),
        "permitted": grown(container.get("permitted")),
    }
