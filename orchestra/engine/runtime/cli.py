"""runc's verbs over the same functions that the launcher calls: create, start, state, kill, ...

``--root`` and the verbs' flags are runc's. Failures go to stderr and, with ``--log``, to a file as
runc writes them; exit codes are docker's where a program could not be executed, else 1.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from typing import cast

from orchestra.engine.linux import process as processes
from orchestra.engine.runtime import become, features
from orchestra.engine.runtime import exec as entering
from orchestra.engine.runtime.config import load_config
from orchestra.engine.runtime.create import (
    cgroup_of,
    create_detachable,
    delete,
    finish,
    reap,
    state_document,
)
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.engine.runtime.hooks import run_hooks
from orchestra.engine.runtime.state import StateDirectory
from orchestra.oci.runtime import Process

_DEFAULT_ROOT = "/run/orchestra/runtime"
_Verb = Callable[[argparse.Namespace], int]


def main(arguments: Sequence[str]) -> int:
    """Run one verb and return the exit code."""
    options = _parser().parse_args(arguments)
    verb: _Verb = options.verb
    try:
        return verb(options)
    except RuntimeFailure as failure:
        _report(options, failure.message)
        return failure.exit_code if failure.exit_code in {126, 127} else 1


def _report(options: argparse.Namespace, message: str) -> None:
    sys.stderr.write(f"{message}\n")
    if options.log:
        line = f'level=error msg="{message}"\n'
        if options.log_format == "json":
            line = json.dumps({"level": "error", "msg": message}) + "\n"
        fd = os.open(options.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.write(fd, line.encode())
        os.close(fd)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="orchestra-runtime", allow_abbrev=False)
    parser.add_argument("--root", default=_DEFAULT_ROOT)
    parser.add_argument("--log", default="")
    parser.add_argument("--log-format", choices=("text", "json"), default="text")
    parser.add_argument("--systemd-cgroup", action="store_true")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def add(name: str, verb: _Verb, *, with_id: bool = True) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, allow_abbrev=False)
        sub.set_defaults(verb=verb)
        if with_id:
            sub.add_argument("id")
        return sub

    for name, verb in (("create", _create), ("run", _run)):
        sub = add(name, verb)
        sub.add_argument("--bundle", "-b", default=".")
        sub.add_argument("--pid-file", default="")
        sub.add_argument("--console-socket", default="")
        sub.add_argument("--detach", "-d", action="store_true")
        sub.add_argument("--no-new-keyring", action="store_true")
    add("start", _start)
    add("state", _state)
    kill = add("kill", _kill)
    kill.add_argument("signal", nargs="?", default="TERM")
    kill.add_argument("--all", "-a", action="store_true")
    add("delete", _delete).add_argument("--force", "-f", action="store_true")
    enter = add("exec", _exec)
    enter.add_argument("--process", "-p", default="")
    enter.add_argument("--tty", "-t", action="store_true")
    enter.add_argument("--detach", "-d", action="store_true")
    enter.add_argument("--pid-file", default="")
    enter.add_argument("--console-socket", default="")
    enter.add_argument("--env", "-e", action="append", default=[])
    enter.add_argument("--cwd", default="")
    enter.add_argument("--user", "-u", default="")
    enter.add_argument("args", nargs=argparse.REMAINDER)
    add("features", _features, with_id=False)
    return parser


def _connect(path: str) -> int | None:
    """Connect to a console socket; None for ""."""
    if not path:
        return None
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        peer.connect(path)
    except OSError as err:
        raise failed(f"connect to the console socket {path}", err) from err
    return peer.detach()


def _write_pid(path: str, pid: int) -> None:
    if not path:
        return
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    os.write(fd, str(pid).encode())
    os.close(fd)


def _create(options: argparse.Namespace) -> int:
    bundle = os.path.abspath(options.bundle)  # noqa: PTH100 - pathlib is 8 ms of import
    created = create_detachable(
        options.id,
        bundle,
        state_root=options.root,
        stdio=(0, 1, 2),
        console_socket=_connect(options.console_socket),
        detach=True,
    )
    _write_pid(options.pid_file, created.pid)
    return 0


def _start(options: argparse.Namespace) -> int:
    directory = StateDirectory(options.root, options.id)
    record = directory.read()
    if directory.status(record) != "created":
        raise RuntimeFailure(f'container "{options.id}" is not created but started or stopped')
    channel = directory.connect()
    channel.send({"kind": "go"})
    try:
        finish(channel)
    finally:
        channel.close()
    config = load_config(record["bundle"])
    state = state_document(config, options.id, record["bundle"], "running", record["init"]["pid"])
    run_hooks((config.get("hooks") or {}).get("poststart") or [], state, "poststart")
    return 0


def _run(options: argparse.Namespace) -> int:
    _create(options)
    directory = StateDirectory(options.root, options.id)
    record = directory.read()
    pid = record["init"]["pid"]
    try:
        _start(options)
    except RuntimeFailure:
        reap(pid)
        delete(options.id, record["bundle"], state_root=options.root)
        raise
    if options.detach:
        return 0
    code = _wait_forwarding(pid)
    delete(options.id, record["bundle"], state_root=options.root)
    return code


def _wait_forwarding(pid: int) -> int:
    """Wait for a child, passing on what we are asked to do."""

    def forward(number: int, _frame: object) -> None:
        os.kill(pid, number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
        signal.signal(number, forward)
    return processes.wait_exit(pid)["code"]


def _state(options: argparse.Namespace) -> int:
    directory = StateDirectory(options.root, options.id)
    record = directory.read()
    status = directory.status(record)
    document = {
        "ociVersion": features.OCI_VERSION,
        "id": options.id,
        "status": status,
        "bundle": record["bundle"],
        "annotations": record["annotations"],
    }
    if status != "stopped":
        document["pid"] = record["init"]["pid"]
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    return 0


def _signal_number(text: str) -> int:
    if text.isdigit():
        return int(text)
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    try:
        return signal.Signals[name]
    except KeyError as err:
        raise RuntimeFailure(f'unknown signal "{text}"') from err


def _kill(options: argparse.Namespace) -> int:
    record = StateDirectory(options.root, options.id).read()
    number = _signal_number(options.signal)
    if options.all:
        for pid in cgroup_of(load_config(record["bundle"])).pids():
            os.kill(pid, number)
        return 0
    try:
        pidfd = processes.pidfd_open(record["init"])
    except ProcessLookupError as err:
        raise RuntimeFailure(f'container "{options.id}" is not running') from err
    processes.pidfd_send_signal(pidfd, number)
    os.close(pidfd)
    return 0


def _delete(options: argparse.Namespace) -> int:
    directory = StateDirectory(options.root, options.id)
    try:
        record = directory.read()
    except RuntimeFailure:
        if options.force:
            return 0
        raise
    status = directory.status(record)
    if status == "running" and not options.force:
        raise RuntimeFailure(f'cannot delete container "{options.id}": it is running')
    if status != "stopped":
        pidfd = processes.pidfd_open(record["init"])
        processes.pidfd_send_signal(pidfd, signal.SIGKILL)
        _await_end(pidfd)
    delete(options.id, record["bundle"], state_root=options.root)
    return 0


def _await_end(pidfd: int) -> None:
    import select  # noqa: PLC0415 - of this verb alone

    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll(10_000)
    os.close(pidfd)


def _exec(options: argparse.Namespace) -> int:
    record = StateDirectory(options.root, options.id).read()
    config = load_config(record["bundle"])
    process = _exec_process(options, config.get("process") or {})
    pid = entering.execute(
        record["init"]["pid"],
        process,
        config=config,
        stdio=(0, 1, 2),
        console_socket=_connect(options.console_socket),
    )
    _write_pid(options.pid_file, pid)
    return 0 if options.detach else _wait_forwarding(pid)


def _exec_process(options: argparse.Namespace, container: Process) -> Process:
    if options.process:
        try:
            return cast("Process", json.loads(processes.read_text(options.process)))
        except (OSError, ValueError) as err:
            raise RuntimeFailure(f"cannot read {options.process}: {err}") from err
    process: Process = {**container, "args": options.args, "terminal": options.tty}
    process["env"] = [*(container.get("env") or []), *options.env]
    if options.cwd:
        process["cwd"] = options.cwd
    if options.user:
        uid, _, gid = options.user.partition(":")
        if not uid.isdigit() or not (gid or "0").isdigit():
            raise RuntimeFailure(f'"{options.user}" is not UID[:GID]')
        process["user"] = {"uid": int(uid), "gid": int(gid or 0)}
    become.prepare(process, None)
    return process


def _features(_options: argparse.Namespace) -> int:
    sys.stdout.write(json.dumps(features.features(), indent=2) + "\n")
    return 0
