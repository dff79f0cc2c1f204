"""runc's verbs over the same functions that the launcher calls: create, start, state, kill, ...

``--root`` and the verbs' flags are runc's. Failures go to stderr and, with ``--log``, to a file as
runc writes them; exit codes are docker's where a program could not be executed, 2 for a command
line that cannot be read, else 1. A verb that starts nothing is imported when it is asked for.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from orchestra.engine.linux import process as processes
from orchestra.engine.runtime import arguments as command_line
from orchestra.engine.runtime import features, report, streams
from orchestra.engine.runtime.config import load_config
from orchestra.engine.runtime.container import Container
from orchestra.engine.runtime.create import (
    Handed,
    create_handed,
    delete,
    finish,
    reap,
    state_document,
)
from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.engine.runtime.hooks import run_hooks
from orchestra.engine.runtime.state import StateDirectory

if TYPE_CHECKING:
    from orchestra.engine.runtime.foreground import Foreground

_EXIT_CODES = frozenset({command_line.USAGE, 126, 127})


def main(arguments: Sequence[str]) -> int:
    """Run one verb and return the exit code."""
    options = argparse.Namespace(log="", log_format="text", debug=False)
    try:
        command_line.parse(arguments, options)
        report.open_log(options)
        if options.debug:
            _log(options, "debug", f"{options.verb} {getattr(options, 'id', '')}".strip())
        return _VERBS.get(options.verb, _other)(options)
    except RuntimeFailure as failure:
        return _fail(options, failure)
    except Exception as err:  # noqa: BLE001 - a process entry point: documents of any shape come in
        why = " ".join(str(err).split())
        return _fail(options, RuntimeFailure(f"cannot {options.verb}: {type(err).__name__}: {why}"))


def _fail(options: argparse.Namespace, failure: RuntimeFailure) -> int:
    """Say why, and return the exit code."""
    if options.debug and not isinstance(sys.exception(), RuntimeFailure):
        import traceback  # noqa: PLC0415 - of a mistake alone

        traceback.print_exc()
    sys.stderr.write(f"{failure.message}\n")
    if options.log:
        _log(options, "error", failure.message)
    return failure.exit_code if failure.exit_code in _EXIT_CODES else 1


def _log(options: argparse.Namespace, level: str, message: str) -> None:
    text = report.line(level, message, options.log_format)
    if options.log:
        report.write(options.log, text)
    else:
        sys.stderr.write(text)


def _other(options: argparse.Namespace) -> int:
    """Run a verb that starts nothing."""
    from orchestra.engine.runtime import control, template, usage  # noqa: PLC0415 - not for a start

    verbs: Mapping[str, Callable[[argparse.Namespace], int]] = {
        "list": control.list_containers,
        "ps": control.processes,
        "pause": control.pause,
        "resume": control.resume,
        "update": control.update,
        "spec": template.write,
        "events": usage.events,
    }
    return verbs[options.verb](options)


def _create(options: argparse.Namespace) -> int:
    return _make(options, streams.connect(options.console_socket))


def _make(options: argparse.Namespace, console_socket: int | None) -> int:
    """Create a container; return 0."""
    sockets, told = streams.take_listening()
    streams.check_preserved(sockets + options.preserve_fds)
    bundle = os.path.abspath(options.bundle)  # noqa: PTH100 - pathlib is 8 ms of import
    handed = Handed(
        stdio=(0, 1, 2),
        console_socket=console_socket,
        detach=True,
        preserved_fds=sockets + options.preserve_fds,
        new_keyring=not options.no_new_keyring,
        environment=told,
    )
    created = create_handed(options.id, bundle, handed, state_root=options.root)
    try:
        streams.write_pid(options.pid_file, created.pid)
    except RuntimeFailure:
        created.channel.close()
        reap(created.pid)
        delete(options.id, bundle, state_root=options.root)
        raise
    return 0


def _start(options: argparse.Namespace) -> int:
    container = Container.find(options.root, options.id)
    directory, record = container.directory, container.record
    status = directory.status(record)
    if status == "stopped":
        raise RuntimeFailure("cannot start a container that has stopped")
    if status != "created":
        raise RuntimeFailure("cannot start an already running container")
    pidfd = container.pidfd()
    try:
        channel = directory.connect()
        channel.send({"kind": "go"})
        try:
            finish(channel)
        finally:
            channel.close()
        _run_poststart(container, options.id, pidfd)
    finally:
        os.close(pidfd)
    return 0


def _run_poststart(container: Container, container_id: str, pidfd: int) -> None:
    """Run the hooks; one that fails ends the container (runtime.md, lifecycle 9)."""
    config = container.config()
    bundle = container.record["bundle"]
    state = state_document(config, container_id, bundle, "running", container.pid)
    try:
        run_hooks((config.get("hooks") or {}).get("poststart") or [], state, "poststart")
    except RuntimeFailure:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        raise


def _run(options: argparse.Namespace) -> int:
    streams.check_preserved(options.preserve_fds)
    process = load_config(options.bundle).get("process") or {}
    foreground = streams.own_terminal(options, wanted=process.get("terminal", False))
    try:
        return _run_in(options, foreground)
    finally:
        if foreground is not None:
            foreground.close()


def _run_in(options: argparse.Namespace, foreground: Foreground | None) -> int:
    _make(options, foreground.theirs if foreground else streams.connect(options.console_socket))
    record = StateDirectory(options.root, options.id).read()
    pid = record["init"]["pid"]
    try:
        if foreground:
            foreground.take()
        _start(options)
    except RuntimeFailure:
        reap(pid)
        delete(options.id, record["bundle"], state_root=options.root)
        raise
    if options.detach:
        return 0
    code = foreground.wait(pid) if foreground else streams.wait_forwarding(pid)
    _remove(options, record["bundle"])
    return code


def _state(options: argparse.Namespace) -> int:
    container = Container.find(options.root, options.id)
    status = container.status()
    document = {
        "ociVersion": features.OCI_VERSION,
        "id": options.id,
        "status": status,
        "bundle": container.record["bundle"],
        "annotations": container.record["annotations"],
    }
    if status != "stopped":
        document["pid"] = container.pid
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    return 0


def _signal_number(text: str) -> int:
    if text.isascii() and text.isdigit():
        if int(text) < signal.NSIG:
            return int(text)
        raise RuntimeFailure(f'unknown signal "{text}"')
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    try:
        return signal.Signals[name]
    except KeyError as err:
        raise RuntimeFailure(f'unknown signal "{text}"') from err


def _kill(options: argparse.Namespace) -> int:
    container = Container.find(options.root, options.id)
    number = _signal_number(options.signal)
    if options.all:
        cgroup = container.cgroup()
        if not cgroup.exists:
            raise RuntimeFailure("cannot signal every process: the container has no cgroup")
        if number == signal.SIGKILL:
            cgroup.kill()
            return 0
        for pid in cgroup.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return 0
    pidfd = container.pidfd()
    try:
        _send(container, pidfd, number)
    finally:
        os.close(pidfd)
    return 0


def _send(container: Container, pidfd: int, number: int) -> None:
    """Send a signal to the init; a paused one that is to die must be let go on (v1)."""
    try:
        processes.pidfd_send_signal(pidfd, number)
    except ProcessLookupError as err:
        raise RuntimeFailure("container not running", errno=err.errno or 0) from err
    if number == signal.SIGKILL and container.status() == "paused":
        container.cgroup().freeze(frozen=False)


def _delete(options: argparse.Namespace) -> int:
    try:
        container = Container.find(options.root, options.id)
    except RuntimeFailure:
        if options.force:
            return 0
        raise
    status = container.status()
    if status in {"running", "paused"} and not options.force:
        raise RuntimeFailure(f"cannot delete container {options.id} that is not stopped: {status}")
    if status != "stopped":
        with contextlib.suppress(RuntimeFailure):  # It may end by itself at this moment.
            pidfd = container.pidfd()
            try:
                _send(container, pidfd, signal.SIGKILL)
                _await_end(pidfd)
            finally:
                os.close(pidfd)
    _remove(options, container.record["bundle"])
    return 0


def _remove(options: argparse.Namespace, bundle: str) -> None:
    for warning in delete(options.id, bundle, state_root=options.root):
        _log(options, "warning", warning)


def _await_end(pidfd: int) -> None:
    import select  # noqa: PLC0415 - of this verb alone

    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll(10_000)


def _exec(options: argparse.Namespace) -> int:
    from orchestra.engine.runtime import entrance  # noqa: PLC0415 - not for a start

    return entrance.run(options)


def _features(_options: argparse.Namespace) -> int:
    sys.stdout.write(json.dumps(features.features(), indent=2) + "\n")
    return 0


def _version(_options: argparse.Namespace) -> int:
    sys.stdout.write(
        f"orchestra-runtime version {features.VERSION}\nspec: {features.OCI_VERSION}\n"
    )
    return 0


_VERBS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "create": _create,
    "delete": _delete,
    "exec": _exec,
    "features": _features,
    "kill": _kill,
    "run": _run,
    "start": _start,
    "state": _state,
    "version": _version,
}
