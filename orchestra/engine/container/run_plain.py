"""A `run` whose container the project's supervisor makes, from the command's end.

It has everything at hand for that, which we would have to import first. What it hands over is the
launcher's conversation: from then on nobody stands between the container and us, and with us it
ends. The supervisor then takes away what is left. Imports next to nothing, as ``exec_talk``.
"""

from __future__ import annotations

import _socket
import os
import sys

from orchestra.engine.container.exchange import (
    Exchange,
    handle,
    interrupt,
    on_terminal,
    open_pipes,
    restore,
)
from orchestra.engine.container.exec_talk import code_of, descriptors_of
from orchestra.engine.linux.proc import is_alive, read_text
from orchestra.engine.state import plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Mapping
    from types import FrameType

    from orchestra.engine.linux.process import Identity
    from orchestra.errors import OrchestraError
else:
    import _signal

# names of supervisor/protocol.py and shim/protocol.py, which a test compares
SUPERVISOR_SOCKET = "supervisor.sock"
INIT_FILE = "init.pid"
LINE_BYTES_MAX = 64 * 1024
_SECONDS = 120.0
_PATIENCE = 3
"""Signals of one kind that are passed on; the last one is SIGKILL, as docker's is."""


class LostError(Exception):
    """The supervisor is gone: what it made is to be looked for, and removed."""


class Handed:
    """One container of a run, from what is asked to its removal.

    ``run``: the project's run directory.
    """

    def __init__(self, run: str) -> None:
        """Call the supervisor.

        :raises OSError: when there is none.
        """
        self._run = run
        self._opened: list[int] = []
        self._supervisor = _socket.socket(fileno=_dial(run))
        self._launcher: _socket.socket | None = None
        self._id = ""
        self._asked = False
        self._signals: dict[int, int] = {}

    def ask(self, request: Mapping[str, object], *, stdin: int | None, tty: bool) -> int:
        """Have the container made, and return its exit code; see :meth:`end`.

        :raises NotPlainError: when nothing was done.
        :raises LostError: when nobody can tell what was done.
        :raises ContainerError: when it does not start, or nobody can tell its end.
        """
        line = b"run " + plain.dumps(dict(request)) + b"\n"
        if len(line) > LINE_BYTES_MAX:
            raise plain.NotPlainError
        before = handle(self._heed, _signal.SIGINT, _signal.SIGTERM)
        try:
            if tty:
                launcher, terminal = self._begin(line, [])
                self._opened.append(terminal)
                return self._on_terminal(launcher, terminal)
            outputs, entrance, given = open_pipes(self._opened, 1, 2, stdin)
            try:
                launcher = self._begin(line, given)[0]
            finally:
                for fd in given:
                    os.close(fd)
            Exchange(launcher, outputs, stdin, entrance).run(self._heed)
            return code_of(self._conversation())
        finally:
            restore(before)

    def end(self) -> None:
        """Hang up, and wait until what is left has been taken away.

        :raises LostError: when nobody is there to do it.
        :raises ContainerError: when that cannot be.
        """
        try:
            if self._launcher is not None:
                self._launcher.close()
            if self._asked:
                self._supervisor.shutdown(_socket.SHUT_WR)
                answer = self._answer()
                if "id" in answer:  # we did not wait for that
                    answer = self._answer()
                if "error" in answer:
                    raise _error(answer)
        except OSError as err:
            raise LostError from err
        finally:
            self.close()

    def close(self) -> None:
        """Hang up."""
        if self._launcher is not None:
            self._launcher.close()
        self._supervisor.close()
        while self._opened:
            os.close(self._opened.pop())

    def _on_terminal(self, launcher: int, terminal: int) -> int:
        import termios  # noqa: PLC0415 - only who has a terminal pays

        columns, rows = os.get_terminal_size(1)
        termios.tcsetwinsize(terminal, (rows, columns))
        on_terminal(launcher, terminal, 0, 1, self._heed)
        return code_of(self._conversation())

    def _begin(self, line: bytes, given: list[int]) -> list[int]:
        """Send the request, and return what comes of it: the launcher's conversation first."""
        rights = b"".join(fd.to_bytes(4, sys.byteorder) for fd in given)
        ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)] if given else []
        passed: list[int] = []
        try:
            self._supervisor.settimeout(_SECONDS)
            self._asked = True
            sent = self._supervisor.sendmsg([line], ancillary, _socket.MSG_NOSIGNAL)
            if sent < len(line):
                self._supervisor.sendall(line[sent:], _socket.MSG_NOSIGNAL)
            answer = self._answer(passed)
        except OSError as err:
            raise LostError from err
        self._asked = "id" in answer
        if "error" in answer:
            raise _error(answer)
        if not self._asked:
            raise plain.NotPlainError
        self._id = str(answer["id"])
        self._launcher = _socket.socket(fileno=passed[0])
        self._launcher.settimeout(None)
        return passed

    def _conversation(self) -> _socket.socket:
        assert self._launcher is not None
        return self._launcher

    def _answer(self, passed: list[int] | None = None) -> Mapping[str, object]:
        """Return the supervisor's next line; descriptors that came with it are added, or closed.

        :raises LostError: when there is none.
        """
        data = b""
        while not data.endswith(b"\n"):
            room = LINE_BYTES_MAX, _socket.CMSG_SPACE(4 * 4), _socket.MSG_CMSG_CLOEXEC
            part, ancillary, _, _ = self._supervisor.recvmsg(*room)
            for fd in descriptors_of(ancillary):
                if passed is None:
                    os.close(fd)
                else:
                    passed.append(fd)
            if not part:
                raise LostError
            data += part
        answer = plain.loads(data)
        return answer if isinstance(answer, dict) else {}

    def _heed(self, number: int, frame: FrameType | None) -> None:
        """Break off as long as there is no container; else it gets the signal."""
        if self._launcher is None:
            interrupt(number, frame)
        self._signals[number] = self._signals.get(number, 0) + 1
        self._kill(_signal.SIGKILL if self._signals[number] >= _PATIENCE else number)

    def _kill(self, number: int) -> None:
        """Send a signal to the container's init, if it has one already, or still."""
        try:
            init = _identity(f"{self._run}/containers/{self._id}/{INIT_FILE}")
            pidfd = os.pidfd_open(init["pid"])
        except (OSError, KeyError, ValueError, plain.NotPlainError):
            return
        try:
            if is_alive(init):
                _signal.pidfd_send_signal(pidfd, number)
        except ProcessLookupError:
            return
        finally:
            os.close(pidfd)


def _dial(run: str) -> int:
    from orchestra.engine.linux.dialing import dial  # noqa: PLC0415

    return dial(run, SUPERVISOR_SOCKET, _socket.SOCK_STREAM)


def _identity(path: str) -> Identity:
    found = plain.loads(read_text(path).encode("utf-8", "surrogateescape"))
    if not isinstance(found, dict):
        raise plain.NotPlainError
    return {
        "pid": int(found["pid"]),
        "start_time": int(found["start_time"]),
        "boot_id": str(found["boot_id"]),
    }


def _error(answer: Mapping[str, object]) -> OrchestraError:
    from orchestra.errors import ContainerError  # noqa: PLC0415 - failing may take its time

    hint = answer.get("hint")
    return ContainerError(str(answer["error"]), hint=None if hint is None else str(hint))
