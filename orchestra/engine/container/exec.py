"""Run a process in a running container, with pipes or with a terminal."""

from __future__ import annotations

import os
import signal
import termios
import tty
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

import anyio
import anyio.to_thread

from orchestra.engine.container.bundle import exec_process
from orchestra.engine.container.launching import ExecSession, LauncherClient, unknown_end
from orchestra.engine.container.places import Places
from orchestra.engine.container.runtime import runtime_prefix
from orchestra.engine.container.streams import Pipes, Take, read_some
from orchestra.engine.container.users import read_user_files, resolve_user
from orchestra.engine.paths import Paths
from orchestra.engine.shim.protocol import ExecRequest
from orchestra.engine.state.records import ContainerRecord
from orchestra.errors import ContainerError
from orchestra.values import dataclass, field, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecOptions:
    """What to run; None takes the container's own. ``environment`` is added to the container's."""

    args: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    user: str | None = None
    tty: bool = False
    privileged: bool = False
    rows: int = 0
    columns: int = 0
    detach: bool = False


@asynccontextmanager
async def open_exec(
    paths: Paths,
    record: ContainerRecord,
    options: ExecOptions,
    stdio: tuple[int, int, int] | None,
) -> AsyncIterator[ExecSession]:
    """Start a process in a container and stay with it; leaving the block kills it, unless detached.

    ``stdio``: pipes, never the user's own files or terminal; None when ``options.tty``.

    :raises ContainerError: when the container does not run, or the process does not start
        (StartError has docker's exit code: 126, 127).
    """
    places = Places.of(paths, record)
    init = places.init()
    if init is None:
        raise ContainerError(
            f'cannot run a process in container "{record.spec.name}": it does not run',
            hint=f"start it: orchestra start {record.spec.service}",
        )
    request = await anyio.to_thread.run_sync(_request, places, record, options)
    request["init"] = init
    launcher = await LauncherClient.ensure(paths, record.spec.project)
    async with launcher.exec(request, stdio) as session:
        yield session


def _request(places: Places, record: ContainerRecord, options: ExecOptions) -> ExecRequest:
    user = None
    if options.user is not None:
        files = read_user_files((str(places.upper), *record.layers))
        user = resolve_user(options.user, files, record.spec.group_add)
    process = exec_process(
        places.read_config(),
        options.args,
        environment=options.environment,
        cwd=options.cwd,
        user=user,
        tty=options.tty,
        privileged=options.privileged,
    )
    return {
        "op": "exec",
        "id": record.id,
        "init": {"pid": 0, "start_time": 0, "boot_id": ""},
        "bundle": str(places.bundle),
        "runtime": list(runtime_prefix(record.spec.runtime)),
        "process": process,
        "tty": options.tty,
        "rows": options.rows,
        "columns": options.columns,
        "detach": options.detach,
    }


async def exec_captured(
    paths: Paths, record: ContainerRecord, options: ExecOptions, take: Take
) -> int:
    """Run a process without input, hand its output to ``take``, return its exit code.

    :raises ContainerError: as :func:`open_exec`.
    """
    pipes = Pipes()
    try:
        async with open_exec(paths, record, options, pipes.given) as session:
            return (await pipes.accompany(session, take))["code"]
    finally:
        pipes.close()


async def exec_detached(paths: Paths, record: ContainerRecord, options: ExecOptions) -> None:
    """Start a process without input and output, and leave it to the container.

    :raises ContainerError: as :func:`open_exec`.
    """
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        detached = replace(options, tty=False, detach=True)
        async with open_exec(paths, record, detached, (null, null, null)):
            pass
    finally:
        os.close(null)


async def exec_in(
    paths: Paths,
    record: ContainerRecord,
    options: ExecOptions,
    *,
    stdin: int | None = 0,
    stdout: int = 1,
    stderr: int = 2,
) -> int:
    """Run a process with these descriptors of ours (`exec`), and return its exit code.

    With ``options.tty``, ``stdin`` is a terminal: it is put into raw mode meanwhile, and its size
    follows. Without, what is read from ``stdin`` is passed on; None gives no input.

    :raises ContainerError: as :func:`open_exec`.
    """
    if options.tty:
        rows, columns = _size(0 if stdin is None else stdin)
        options = replace(options, rows=options.rows or rows, columns=options.columns or columns)
        async with open_exec(paths, record, options, None) as session:
            return await converse(session, 0 if stdin is None else stdin, stdout)
    targets = {"stdout": stdout, "stderr": stderr}
    pipes = Pipes(stdin=stdin is not None)
    try:
        async with open_exec(paths, record, options, pipes.given) as session:
            ended = await pipes.accompany(
                session, lambda name, data: write_all(targets[name], data), source=stdin
            )
            return ended["code"]
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
            termios.tcsetwinsize(terminal, _size(stdin))


def _size(terminal: int) -> tuple[int, int]:
    try:
        columns, rows = os.get_terminal_size(terminal)
    except OSError:
        return 24, 80
    return rows, columns


@contextmanager
def raw_terminal(fd: int) -> Iterator[None]:
    """Put a terminal into raw mode meanwhile; what is no terminal stays as it is."""
    try:
        before = termios.tcgetattr(fd)
    except termios.error:
        yield
        return
    tty.setraw(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def write_all(fd: int, data: bytes) -> None:
    """Write everything to a descriptor, waiting as long as it takes.

    :raises OSError: EPIPE when nobody reads any more.
    """
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
