"""A process in a running container whose output is ours, and a terminal's two ends, joined."""

from __future__ import annotations

import os
import signal
import termios

import anyio
import anyio.to_thread

from orchestra.engine.container.exec_request import ExecOptions, exec_request
from orchestra.engine.container.failures import unknown_end
from orchestra.engine.container.launching import ExecSession, LauncherClient
from orchestra.engine.container.streams import Pipes, Take, read_some
from orchestra.engine.container.terminal import raw_terminal, size_of
from orchestra.engine.linux.pipes import write_all
from orchestra.engine.paths import Paths
from orchestra.engine.state.records import ContainerRecord
from orchestra.errors import ContainerError


async def exec_captured(
    paths: Paths,
    record: ContainerRecord,
    options: ExecOptions,
    take: Take,
    launcher: LauncherClient | None = None,
) -> int:
    """Run a process without input, hand its output to ``take``, return its exit code.

    ``launcher`` None is the project's, started where there is none. Cancelling this kills the
    process.

    :raises ContainerError: when the container does not run, or the process does not start
        (StartError has docker's exit code: 126, 127).
    """
    request = await anyio.to_thread.run_sync(exec_request, paths, record, options)
    launcher = launcher or LauncherClient.of(paths, record.spec.project)
    pipes = Pipes()
    try:
        async with launcher.exec(request, pipes.given) as session:
            return (await pipes.accompany(session, take))["code"]
    finally:
        pipes.close()


async def converse(session: ExecSession, stdin: int, stdout: int) -> int:
    """Connect a terminal of ours with a process's until that ends; return its exit code.

    :raises ContainerError: when it has no terminal, or nobody can tell the end.
    """
    terminal = session.terminal
    if terminal is None:
        raise ContainerError("cannot run a process: it was given no terminal")
    with raw_terminal(stdin):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_copy, stdin, terminal)
            tasks.start_soon(_copy, terminal, stdout)
            tasks.start_soon(_follow_size, terminal, stdin)
            ended = await session.ended()
            tasks.cancel_scope.cancel()
        os.set_blocking(terminal, False)
        while data := await _rest(terminal):
            write_all(stdout, data)
    if ended is None:
        raise unknown_end()
    return ended["code"]


async def _rest(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


async def _copy(source: int, target: int) -> None:
    while data := await read_some(source):
        with anyio.CancelScope(shield=True):  # what was read must not be lost at the end
            await anyio.to_thread.run_sync(write_all, target, data)


async def _follow_size(terminal: int, stdin: int) -> None:
    with anyio.open_signal_receiver(signal.SIGWINCH) as received:
        async for _ in received:
            termios.tcsetwinsize(terminal, size_of(stdin))
