"""Run a process in a running container on streams of ours, in a program that does nothing else.

This is ``exec``, without an event loop: importing one takes longer than the command. A container
never gets a descriptor of the user's terminal or files: only pipes, or a terminal of its own, and
one poll(2) loop carries what goes through them.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import termios
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import cast

from orchestra.engine.container.exec_request import ExecOptions, exec_request
from orchestra.engine.container.failures import error_of, no_answer, no_launcher, unknown_end
from orchestra.engine.container.spawning import dial_path, spawn
from orchestra.engine.container.terminal import raw_terminal, size_of
from orchestra.engine.linux.pipes import write_all
from orchestra.engine.paths import Paths
from orchestra.engine.shim import wire
from orchestra.engine.shim.protocol import Exited, Failed
from orchestra.engine.state.records import ContainerRecord
from orchestra.errors import Interrupted
from orchestra.values import replace

Handler = Callable[[int, FrameType | None], None]
_READ_BYTES = 64 * 1024
_START_SECONDS = 120.0


def exec_in(
    paths: Paths,
    record: ContainerRecord,
    options: ExecOptions,
    *,
    stdin: int | None = 0,
    stdout: int = 1,
    stderr: int = 2,
) -> int:
    """Run a process with these descriptors of ours, and return its exit code.

    With ``options.tty``, ``stdin`` is a terminal: it is put into raw mode meanwhile, and its size
    follows. Without, what is read from ``stdin`` is passed on; None gives no input. Detached, it
    gets no streams, nobody waits for it, and the code is 0. What ends this before its end kills it.

    :raises ContainerError: when the container does not run, or the process does not start
        (StartError has docker's exit code: 126, 127), or nobody can tell its end.
    """
    if options.tty:
        rows, columns = size_of(0 if stdin is None else stdin)
        options = replace(options, rows=options.rows or rows, columns=options.columns or columns)
    request = exec_request(paths, record, options)
    with ExitStack() as stack:
        connection = stack.enter_context(_launcher(paths, record.spec.project))
        if options.tty:
            terminal = _ask(connection, request, ())[0]
            stack.callback(os.close, terminal)
            source = 0 if stdin is None else stdin
            stack.enter_context(raw_terminal(source))
            stack.enter_context(_following_size(terminal, source))
            return _Exchange(connection, {terminal: stdout}, source, terminal).run()
        if options.detach:
            null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
            stack.callback(os.close, null)
            _ask(connection, request, (null, null, null))
            return 0
        given, outputs, entrance = _pipes(stack, stdout, stderr, stdin)
        try:
            _ask(connection, request, given)
        finally:
            wire.close_all(given)
        return _Exchange(connection, outputs, stdin, entrance).run()


def _launcher(paths: Paths, project: str) -> socket.socket:
    directory = Path(paths.project_run(project))
    try:
        connection = dial_path(directory)
    except OSError:
        spawn(directory)
        try:
            connection = dial_path(directory)
        except OSError as err:
            raise no_launcher(project, str(directory)) from err
    wire.enlarge(connection)
    return connection


def _ask(
    connection: socket.socket, request: Mapping[str, object], fds: tuple[int, ...]
) -> list[int]:
    connection.settimeout(_START_SECONDS)
    try:
        wire.send(connection, request, fds)
        received = wire.receive(connection)
    except (TimeoutError, BrokenPipeError, ConnectionResetError):
        received = None
    if received is None:
        raise no_answer()
    answer, passed = received
    if answer.get("ok") is not True:
        wire.close_all(passed)
        raise error_of(cast("Failed", answer))
    return passed


def _pipes(
    stack: ExitStack, stdout: int, stderr: int, stdin: int | None
) -> tuple[tuple[int, int, int], dict[int, int], int | None]:
    """Return the process's ends, ours to read by where that goes, and ours to write."""
    writers: list[int] = []
    outputs: dict[int, int] = {}
    for target in (stdout, stderr):
        reader, writer = os.pipe2(os.O_CLOEXEC)
        stack.callback(os.close, reader)
        outputs[reader] = target
        writers.append(writer)
    entrance = None
    if stdin is None:
        source = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    else:
        source, entrance = os.pipe2(os.O_CLOEXEC)
    return (source, writers[0], writers[1]), outputs, entrance


@contextmanager
def _following_size(terminal: int, source: int) -> Iterator[None]:
    def resize(_number: int, _frame: FrameType | None) -> None:
        with suppress(OSError):
            termios.tcsetwinsize(terminal, size_of(source))

    with _handled(resize, signal.SIGWINCH):
        yield


class _Exchange:
    """Carries bytes both ways until the process has ended.

    ``outputs``: our end -> where that goes. ``entrance``: where input goes; a pipe, which is
    closed at the end of the input, or the terminal.
    """

    def __init__(
        self,
        connection: socket.socket,
        outputs: dict[int, int],
        source: int | None,
        entrance: int | None,
    ) -> None:
        self._connection = connection
        self._outputs = dict(outputs)
        self._source = source
        self._entrance = entrance
        self._pipe = entrance is not None and entrance not in outputs
        self._waiting = b""
        for fd in (*outputs, *(() if entrance is None else (entrance,))):
            os.set_blocking(fd, False)

    def run(self) -> int:
        """Return the exit code.

        :raises ContainerError: when nobody can tell the end.
        :raises Interrupted: at SIGINT and SIGTERM.
        """
        try:
            with _interrupted():
                while not self._turn():
                    pass
                for fd in self._outputs:
                    self._read(fd)
        finally:
            self._end_input()
        received = self._receive()
        if received is None:
            raise unknown_end()
        return received["code"]

    def _receive(self) -> Exited | None:
        try:
            received = wire.receive(self._connection)
        except ConnectionResetError:
            received = None
        return None if received is None else cast("Exited", received[0])

    def _turn(self) -> bool:
        """Wait for one thing to happen and see to it; True when the process has ended."""
        poll = select.poll()
        poll.register(self._connection, select.POLLIN)
        for fd in self._outputs:
            wanted = select.POLLOUT if self._waiting and fd == self._entrance else 0
            poll.register(fd, select.POLLIN | wanted)
        if self._source is not None and not self._waiting:
            poll.register(self._source, select.POLLIN)
        if self._pipe and self._entrance is not None and self._waiting:
            poll.register(self._entrance, select.POLLOUT)
        ready = dict(poll.poll())
        if self._connection.fileno() in ready:
            return True
        for fd in self._outputs.keys() & ready.keys():
            if ready[fd] & ~select.POLLOUT and not self._read(fd):
                del self._outputs[fd]
        if self._entrance in ready and self._waiting:
            self._write()
        if self._source in ready and not self._waiting:
            self._feed()
        return False

    def _read(self, fd: int) -> bool:
        """Hand on what is there; False at the end."""
        try:
            while data := os.read(fd, _READ_BYTES):
                write_all(self._outputs[fd], data)
        except BlockingIOError:
            return True
        except OSError:  # EIO: nobody has the terminal open any more
            return False
        return False

    def _feed(self) -> None:
        assert self._source is not None
        try:
            self._waiting = os.read(self._source, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._waiting = b""
        if self._waiting:
            self._write()
            return
        self._source = None
        self._end_input()

    def _write(self) -> None:
        if self._entrance is None:
            self._waiting = b""
            return
        try:
            self._waiting = self._waiting[os.write(self._entrance, self._waiting) :]
        except BlockingIOError:
            return
        except OSError:  # it reads no more
            self._waiting, self._source = b"", None
            self._end_input()

    def _end_input(self) -> None:
        """Let the process see the end of its input."""
        if self._pipe and self._entrance is not None:
            os.close(self._entrance)
        if self._pipe:
            self._entrance = None


@contextmanager
def _interrupted() -> Iterator[None]:
    def end(_number: int, _frame: FrameType | None) -> None:
        raise Interrupted("interrupted")

    with _handled(end, signal.SIGINT, signal.SIGTERM):
        yield


@contextmanager
def _handled(handler: Handler, *numbers: signal.Signals) -> Iterator[None]:
    """Handle signals meanwhile; only a main thread can."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
