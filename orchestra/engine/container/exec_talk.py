"""A process run in a container on streams of ours: what is said to the launcher, and what passes.

This is ``exec`` once it is known what to run, and starts as fast as it can: an event loop, and
most of the standard library, take longer to import than the process takes to run. A container
never gets a descriptor of the user's terminal or files: only pipes, or a terminal of its own, and
one poll(2) loop carries what goes through them.
"""

from __future__ import annotations

import _socket  # socket's own half in C, as _signal is signal's: the others take 7 ms
import os
import select
import sys

from orchestra.engine.state import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

    from orchestra.errors import OrchestraError

    Handler = Callable[[int, FrameType | None], object]
    Handlers = dict[int, Handler | int | None]
    Connection = _socket.socket
else:
    import _signal

_READ_BYTES = 64 * 1024
_START_SECONDS = 120.0
_MESSAGE_BYTES_MAX = 1024 * 1024
"""MESSAGE_BYTES_MAX of shim/protocol.py, which a test compares."""
_SO_SNDBUFFORCE = 32


def talk(
    launcher: int,
    request: Mapping[str, object],
    *,
    stdin: int | None = 0,
    stdout: int = 1,
    stderr: int = 2,
) -> int:
    """Have a process run, and return its exit code; ``launcher``: a connection, which is closed.

    With "tty", ``stdin`` is a terminal: it is put into raw mode meanwhile, and its size follows.
    Without, what is read from ``stdin`` is passed on; None gives no input. With "detach", it gets
    no streams, nobody waits for it, and the code is 0. What ends this before its end kills it.

    :raises ContainerError: when the process does not start (StartError has docker's exit code:
        126, 127), or nobody can tell its end.
    """
    connection = _socket.socket(fileno=launcher)
    opened: list[int] = []
    try:
        _enlarge(connection)
        if request["tty"]:
            return _on_terminal(connection, request, opened, 0 if stdin is None else stdin, stdout)
        if request["detach"]:
            opened.append(os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC))
            _ask(connection, request, opened * 3)
            return 0
        outputs, entrance, given = _pipes(opened, stdout, stderr, stdin)
        try:
            _ask(connection, request, given)
        finally:
            for fd in given:
                os.close(fd)
        return _Exchange(connection, outputs, stdin, entrance).run()
    finally:
        connection.close()
        for fd in opened:
            os.close(fd)


def tell(launcher: int, message: Mapping[str, object]) -> Mapping[str, object]:
    """Send a message, and return the answer, {} where there is none; the connection is closed.

    :raises OSError: when nobody hears it, or answers in time.
    """
    connection = _socket.socket(fileno=launcher)
    try:
        _enlarge(connection)
        connection.settimeout(_START_SECONDS)
        connection.sendmsg([_written(message)], [], _socket.MSG_NOSIGNAL)
        return _received(connection)
    finally:
        connection.close()


def _on_terminal(
    connection: Connection,
    request: Mapping[str, object],
    opened: list[int],
    source: int,
    target: int,
) -> int:
    import termios  # noqa: PLC0415 - only who has a terminal pays

    from orchestra.engine.container.terminal import raw_terminal, size_of  # noqa: PLC0415

    rows, columns = size_of(source)
    sized = dict(request)
    if not sized["rows"] and not sized["columns"]:
        sized |= {"rows": rows, "columns": columns}
    terminal = _ask(connection, sized, ())[0]
    opened.append(terminal)

    def resize(_number: int, _frame: FrameType | None) -> None:
        try:
            termios.tcsetwinsize(terminal, size_of(source))
        except OSError:
            return

    with raw_terminal(source):
        before = _handle(resize, _signal.SIGWINCH)
        try:
            return _Exchange(connection, {terminal: target}, source, terminal).run()
        finally:
            _restore(before)


def _enlarge(connection: Connection) -> None:
    size = _MESSAGE_BYTES_MAX + 4096
    try:
        connection.setsockopt(_socket.SOL_SOCKET, _SO_SNDBUFFORCE, size)
    except OSError:
        connection.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, size)


def _ask(connection: Connection, request: Mapping[str, object], fds: Sequence[int]) -> list[int]:
    """Send the request, wait until the process runs, and return the descriptors that came."""
    connection.settimeout(_START_SECONDS)
    passed: list[int] = []
    rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in fds)
    ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if fds else []
    try:
        connection.sendmsg([_written(request)], ancillary, _socket.MSG_NOSIGNAL)
        answer = _received(connection, passed)
    except (TimeoutError, BrokenPipeError):
        answer = {}
    if answer.get("ok") is True:
        return passed
    for fd in passed:
        os.close(fd)
    raise _failure(answer)


def _failure(answer: Mapping[str, object]) -> OrchestraError:
    from typing import cast  # noqa: PLC0415 - failing may take its time

    from orchestra.engine.container.failures import error_of, no_answer  # noqa: PLC0415
    from orchestra.engine.shim.protocol import Failed  # noqa: PLC0415

    return error_of(cast(Failed, answer)) if answer else no_answer()


def _written(message: Mapping[str, object]) -> bytes:
    try:
        return plain.dumps(dict(message))
    except plain.NotPlainError:
        import json  # noqa: PLC0415

        return json.dumps(message).encode()


def _received(connection: Connection, passed: list[int] | None = None) -> Mapping[str, object]:
    """Return the next message, {} when there is none; descriptors that came with it are added."""
    room = _MESSAGE_BYTES_MAX, _socket.CMSG_SPACE(4 * 4), _socket.MSG_CMSG_CLOEXEC
    try:
        data, ancillary, _, _ = connection.recvmsg(*room)
    except ConnectionResetError:  # told first, and once, when the other side left something unread
        data, ancillary, _, _ = connection.recvmsg(*room)
    for level, kind, rights in ancillary:
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS and passed is not None:
            passed += [
                int.from_bytes(rights[at : at + 4], sys.byteorder)
                for at in range(0, len(rights) - 3, 4)
            ]
    if not data:
        return {}
    try:
        message = plain.loads(data)
    except plain.NotPlainError:
        import json  # noqa: PLC0415

        message = json.loads(data)
    return message if isinstance(message, dict) else {}


def _pipes(
    opened: list[int], stdout: int, stderr: int, stdin: int | None
) -> tuple[dict[int, int], int | None, list[int]]:
    """Return our ends to read by where that goes, ours to write, and the process's ends."""
    outputs: dict[int, int] = {}
    given: list[int] = []
    for target in (stdout, stderr):
        reader, writer = os.pipe2(os.O_CLOEXEC)
        opened.append(reader)
        outputs[reader] = target
        given.append(writer)
    entrance = None
    if stdin is None:
        source = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    else:
        source, entrance = os.pipe2(os.O_CLOEXEC)
    return outputs, entrance, [source, *given]


class _Exchange:
    """Carries bytes both ways until the process has ended.

    ``outputs``: our end -> where that goes. ``entrance``: where input goes; a pipe, which is
    closed at the end of the input, or the terminal.
    """

    def __init__(
        self,
        connection: Connection,
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
        before = _handle(_interrupt, _signal.SIGINT, _signal.SIGTERM)
        try:
            while not self._turn():
                pass
            for fd in self._outputs:
                self._read(fd)
        finally:
            _restore(before)
            self._end_input()
        code = _received(self._connection).get("code")
        if not isinstance(code, int):
            from orchestra.engine.container.failures import unknown_end  # noqa: PLC0415

            raise unknown_end()
        return code

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
                _write_all(self._outputs[fd], data)
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


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    from orchestra.errors import Interrupted  # noqa: PLC0415

    raise Interrupted("interrupted")


def _handle(handler: Handler, *numbers: int) -> Handlers:
    """Handle signals, and return who did before; only a main thread can."""
    try:
        return {number: _signal.signal(number, handler) for number in numbers}
    except ValueError:
        return {}


def _restore(handlers: Handlers) -> None:
    for number, handler in handlers.items():
        _signal.signal(number, handler)
