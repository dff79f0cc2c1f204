"""The launcher's line to a maker: a process that furnishes plain containers, one after the other.

It is there while containers are being started, and ends when none has been for a while: what makes
it fast is memory of its own. Few wait for it, and not for long, so nothing that takes it its time
(a volume of a server that does not answer) keeps others from starting. After a failure it ends, and
with the shim whose container it has in hand.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

from orchestra.engine.runtime.attended import Home
from orchestra.engine.shim.delivery import deliver

_PATH_BYTES = 8192
_ROOM = socket.CMSG_SPACE(16)
_IDLE_MILLISECONDS = 500
_WAITING_MAX = 4
_READY = b"."


class Midwife:
    """One per launcher; ``fork`` makes a child of it that calls a function."""

    def __init__(self, fork: Callable[[Callable[[], None], tuple[int, ...]], int]) -> None:
        self._fork = fork
        self._line: socket.socket | None = None
        self._pid = 0
        self._shims: list[int] = []
        """Whose containers it is to make: the first one's is in hand."""

    def is_free(self) -> bool:
        """Tell whether the next container can be its."""
        self._look()
        return len(self._shims) < _WAITING_MAX

    def attend(self, shim: int, path: str, fds: Sequence[int]) -> None:
        """Have a shim's container made; one that it cannot make is left to the shim.

        ``fds``: the client's connection, the shim's channel, the line to the shim, the token.
        """
        try:
            line = self._line = self._line or self._open()
            message = b"%d " % shim + path.encode("utf-8", "surrogateescape")
            socket.send_fds(line, [message], fds)
        except OSError:
            self.close()
        else:
            self._shims.append(shim)

    def shim_ended(self, shim: int, status: int) -> None:
        """Kill it with a shim that was killed: it may hang, and has that container's lock."""
        self._look()
        if os.WIFSIGNALED(status) and self._shims[:1] == [shim]:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self.close()

    def close(self) -> None:
        """Let it end."""
        if self._line is not None:
            self._line.close()
            self._line = None
        self._shims.clear()

    def _look(self) -> None:
        """See what it has done, or whether it is gone."""
        while self._line is not None:
            try:
                told = self._line.recv(64, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                told = b""
            if told:
                del self._shims[:1]
            else:
                self.close()

    def _open(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._pid = self._fork(lambda: _serve(theirs), (theirs.fileno(),))
        return ours


def _serve(line: socket.socket) -> NoReturn:
    """Make one container a message, until there is none for a while or one could not be made."""
    gc.collect()
    gc.freeze()
    gc.disable()
    home = Home()
    waiting = select.poll()
    waiting.register(line, select.POLLIN)
    with suppress(ConnectionError):  # the launcher is gone
        while waiting.poll(_IDLE_MILLISECONDS):
            message, passed, _, _ = line.recvmsg(_PATH_BYTES, _ROOM, socket.MSG_CMSG_CLOEXEC)
            shim, _, place = message.partition(b" ")
            if not place or not deliver(int(shim), place, array("i", passed[0][2]), home):
                break
            line.send(_READY)
            gc.collect()
    os._exit(0)
