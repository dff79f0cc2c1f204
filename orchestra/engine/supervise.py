"""``python -m orchestra.engine.supervise PROJECT``: the per-project supervisor.

Started, and started again when it dies, by the project's launcher. Its standard error is
``supervisor.log`` in the project's run directory.
"""

# ruff: noqa: E402 - the first thing is what anyio shall find

from __future__ import annotations

import fcntl
import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra import tls

tls.load_late()

import anyio

from orchestra.engine.clock import SystemClock
from orchestra.engine.events import EventBus
from orchestra.engine.linux import process
from orchestra.engine.linux.directories import make_private
from orchestra.engine.shim.identity import read_identity, write_identity
from orchestra.engine.shim.protocol import Identity
from orchestra.engine.supervisor import server
from orchestra.engine.supervisor.loop import Supervisor
from orchestra.engine.supervisor.protocol import PID_NAME, SOCKET_NAME
from orchestra.engine.supervisor.warden import Warden
from orchestra.engine.wiring import open_machine
from orchestra.sources import code_digest

if TYPE_CHECKING:
    from orchestra.engine.supervisor.runs import Runs

LOG_NAME = "supervisor.log"
LOCK_NAME = "supervisor.lock"
_END_SECONDS = 10.0
_LOG_BYTES_MAX = 1024 * 1024


def main() -> None:
    """Watch over one project until it is released."""
    project, code = sys.argv[1], code_digest()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    machine = open_machine(os.environ, uid=os.getuid())
    directory = Path(machine.paths.project_run(project))
    _redirect_output(directory)
    _succeed(directory)

    @cache
    def runs() -> Runs:
        # of its own, since it reads records in threads; made when first asked for
        return open_machine(os.environ, uid=os.getuid()).runs(project, code)

    anyio.run(_watch, machine.warden(project), directory, runs)


def _succeed(directory: Path) -> None:
    """Be the project's one supervisor: a predecessor whose launcher died is ended first."""
    place = str(directory / PID_NAME)
    with (directory / LOCK_NAME).open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = read_identity(place)
        if before is not None:
            _end(before)
        write_identity(place, os.getpid())


def _end(predecessor: Identity) -> None:
    try:
        pidfd = process.pidfd_open(predecessor)
    except ProcessLookupError:
        return
    with suppress(ProcessLookupError):
        process.pidfd_send_signal(pidfd, signal.SIGKILL)
    select.select([pidfd], [], [], _END_SECONDS)
    os.close(pidfd)


def _redirect_output(directory: Path) -> None:
    make_private(directory)
    path = directory / LOG_NAME
    fresh = path.exists() and path.stat().st_size > _LOG_BYTES_MAX
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | (os.O_TRUNC if fresh else 0)
    fd = os.open(path, flags, 0o600)
    os.dup2(fd, 2)
    os.close(fd)


async def _watch(warden: Warden, directory: Path, runs: Callable[[], Runs]) -> None:
    bus = EventBus()
    supervisor = Supervisor(warden, bus, SystemClock())
    listener = await server.listen(directory)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve, listener, bus, supervisor.release, runs)
        await supervisor.run()
        for name in (SOCKET_NAME, PID_NAME):
            (directory / name).unlink(missing_ok=True)
        tasks.cancel_scope.cancel()


if __name__ == "__main__":
    main()
