"""One process run in a container by `exec`: started, watched, signalled, its end reported.

Runs in a process forked for it from the launcher. When the client goes away first, the process is
killed: nobody would see its end. One that was detached is only waited for.
"""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import cast

from orchestra.engine.linux import process
from orchestra.engine.shim import native, stdio, wire
from orchestra.engine.shim.birth import read_config
from orchestra.engine.shim.console import set_window
from orchestra.engine.shim.external import ExternalRuntime, Stdio
from orchestra.engine.shim.failure import ShimFailure, because, failed
from orchestra.engine.shim.protocol import ExecRequest


def serve_exec(
    message: dict[str, object], connection: socket.socket, given: Sequence[int], directory: str
) -> None:
    """Run the process and carry the conversation to its end.

    ``message``: an ExecRequest, or only its "op" where that comes in the next one.
    """
    process.set_child_subreaper()
    if "id" not in message:
        native.rehearse_execute()
        try:
            received = wire.receive(connection)
        except OSError:
            received = None
        if received is None:  # the client has found that it is not for us
            return
        message, given = received
    request = cast("ExecRequest", message)
    try:
        pid, master = _launch(request, given, f"{directory}/{request['id']}")
    except ShimFailure as failure:
        with suppress(OSError):
            wire.send(connection, failed(failure))
        return
    wire.close_all(given)
    pidfd = os.pidfd_open(pid)
    try:
        wire.send(connection, {"ok": True, "pid": pid}, () if master is None else (master,))
    except OSError:
        _kill(pid)
    if request["detach"]:
        connection.close()
        process.wait_exit(pid)
        return
    _watch(connection, pid, pidfd)
    ended = process.wait_exit(pid)
    with suppress(OSError):
        wire.send(connection, {"code": ended["code"], "signal": ended["signal"]})


def _launch(
    request: ExecRequest, given: Sequence[int], run_directory: str
) -> tuple[int, int | None]:
    tty = request["tty"]
    if not tty and len(given) != 3:
        raise ShimFailure("cannot run a process: stdin, stdout and stderr are needed")
    if not process.is_alive(request["init"]):
        raise ShimFailure("cannot run a process: the container does not run")
    descriptors: Stdio
    if tty:
        descriptors = (stdio.null(), stdio.null(), stdio.null())
    else:
        descriptors = (given[0], given[1], given[2])
    asked = request["process"]
    if tty and request["rows"] and request["columns"]:  # a program looks as soon as it runs
        asked["consoleSize"] = {"height": request["rows"], "width": request["columns"]}
    try:
        if request["runtime"]:
            runtime = ExternalRuntime(
                request["runtime"], request["id"], run_directory, request["bundle"]
            )
            pid, master = runtime.execute(asked, descriptors, init=request["init"], tty=tty)
        else:
            config = read_config(request["bundle"])
            pid, master = native.execute(
                request["init"]["pid"], asked, config, descriptors, tty=tty
            )
    except OSError as err:
        raise because("cannot run a process in the container", err) from err
    if master is not None and request["rows"]:
        set_window(master, request["rows"], request["columns"])
    return pid, master


def _watch(connection: socket.socket, pid: int, pidfd: int) -> None:
    """Wait until the process ends; kill it when the client, which says nothing more, goes first."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(connection, select.POLLIN)
    while pidfd not in dict(poll.poll()):
        poll.unregister(connection)
        _kill(pid)


def _kill(pid: int) -> None:
    """Kill the process, and its whole session where it leads one (a shell's children)."""
    with suppress(OSError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
    with suppress(OSError):
        os.kill(pid, signal.SIGKILL)
