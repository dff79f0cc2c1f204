"""A process run in a container on streams of ours: what is said to the launcher, and what passes.

This is ``exec`` once it is known what to run, and starts as fast as it can: an event loop, and
most of the standard library, take longer to import than the process takes to run. A container
never gets a descriptor of the user's terminal or files: only pipes, or a terminal of its own, and
one poll(2) loop carries what goes through them.
"""

from __future__ import annotations

import _socket  # socket's own half in C: the other one takes 5 ms
import os
import select
import sys

from orchestra.engine.container.exchange import Exchange, on_terminal, open_pipes
from orchestra.engine.state import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orchestra.errors import OrchestraError

    Connection = _socket.socket

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
        outputs, entrance, given = open_pipes(opened, stdout, stderr, stdin)
        try:
            _ask(connection, request, given)
        finally:
            for fd in given:
                os.close(fd)
        Exchange(connection.fileno(), outputs, stdin, entrance).run()
        return code_of(connection)
    finally:
        connection.close()
        for fd in opened:
            os.close(fd)


def check_heard(launcher: int) -> None:
    """See that somebody is at the other end of a connection still.

    :raises NotPlainError: when nobody is.
    """
    poll = select.poll()
    poll.register(launcher, 0)
    if poll.poll(0):
        raise plain.NotPlainError


def tell(launcher: int, message: Mapping[str, object]) -> Mapping[str, object]:
    """Send a message, and return the answer, {} where there is none; the connection is closed.

    :raises OSError: when nobody hears it, or answers in time.
    """
    connection = _socket.socket(fileno=launcher)
    try:
        _enlarge(connection)
        connection.settimeout(_START_SECONDS)
        connection.sendmsg([written(message)], [], _socket.MSG_NOSIGNAL)
        return received(connection)
    finally:
        connection.close()


def code_of(connection: Connection) -> int:
    """Return the exit code that is told last.

    :raises ContainerError: when nobody can tell it.
    """
    code = received(connection).get("code")
    if not isinstance(code, int):
        from orchestra.engine.container.failures import unknown_end  # noqa: PLC0415

        raise unknown_end()
    return code


def _on_terminal(
    connection: Connection,
    request: Mapping[str, object],
    opened: list[int],
    source: int,
    target: int,
) -> int:
    from orchestra.engine.container.terminal import size_of  # noqa: PLC0415

    rows, columns = size_of(source)
    sized = dict(request)
    if not sized["rows"] and not sized["columns"]:
        sized |= {"rows": rows, "columns": columns}
    terminal = _ask(connection, sized, ())[0]
    opened.append(terminal)
    on_terminal(connection.fileno(), terminal, source, target)
    return code_of(connection)


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
        connection.sendmsg([written(request)], ancillary, _socket.MSG_NOSIGNAL)
        answer = received(connection, passed)
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


def written(message: Mapping[str, object]) -> bytes:
    """Return a message as it is sent."""
    try:
        return plain.dumps(dict(message))
    except plain.NotPlainError:
        import json  # noqa: PLC0415

        return json.dumps(message).encode()


def received(connection: Connection, passed: list[int] | None = None) -> Mapping[str, object]:
    """Return the next message, {} when there is none; descriptors that came with it are added."""
    room = _MESSAGE_BYTES_MAX, _socket.CMSG_SPACE(4 * 4), _socket.MSG_CMSG_CLOEXEC
    try:
        data, ancillary, _, _ = connection.recvmsg(*room)
    except ConnectionResetError:  # told first, and once, when the other side left something unread
        data, ancillary, _, _ = connection.recvmsg(*room)
    if passed is not None:
        passed += descriptors_of(ancillary)
    if not data:
        return {}
    try:
        message = plain.loads(data)
    except plain.NotPlainError:
        import json  # noqa: PLC0415

        message = json.loads(data)
    return message if isinstance(message, dict) else {}


def descriptors_of(ancillary: Sequence[tuple[int, int, bytes]]) -> list[int]:
    """Return the descriptors that came with a message."""
    return [
        int.from_bytes(rights[at : at + 4], sys.byteorder)
        for level, kind, rights in ancillary
        if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS
        for at in range(0, len(rights) - 3, 4)
    ]
