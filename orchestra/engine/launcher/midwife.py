"""The launcher's line to a maker: a process that furnishes plain containers, one after the other.

It is there while containers are being started, and ends when none has been for a while: what makes
it fast is memory of its own. When there is nothing to do it makes what it can of the next one ahead
(shim/ahead.py). Some wait for it, not for long, so nothing that takes it its time (a volume of a
server that does not answer) keeps others from starting. After a failure it ends, and with the shim
whose container it has in hand.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import time
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn

from orchestra.engine.launcher import cgroups
from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import Prctl
from orchestra.engine.shim.delivery import Maker
from orchestra.engine.shim.pump import Loop
from orchestra.values import dataclass

_PATH_BYTES = 8192
_ROOM = socket.CMSG_SPACE(16)
_IDLE_MILLISECONDS = 500
_QUIET_MILLISECONDS = 10
"""So long nobody has asked for a container when one is begun that nobody has asked for."""
_WAITING_MAX = 16
PATIENCE_SECONDS = 0.5
"""So long a shim waits for it to begin; once it has made none for so long, nobody else waits."""
_END_SECONDS = 5.0
_READY, _WISH, _MADE, _NOT_MADE = b".", b"+", b"=", b"-"
_NAME = b"orchestra-maker"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A shim that waits to be called, on ``leash``."""

    pid: int
    leash: socket.socket


class Midwife:
    """One per launcher; ``fork`` makes a child of it that calls a function."""

    def __init__(
        self,
        fork: Callable[[Callable[[], None], tuple[int, ...]], int],
        loop: Loop,
        directory: str,
    ) -> None:
        """``directory``: a project's launcher's; with "" nothing is made ahead."""
        self._fork = fork
        self._loop = loop
        self._directory = directory
        self._line: socket.socket | None = None
        self._pid = 0
        self._living: set[int] = set()
        self._patience_ends = 0.0
        self._last_made = 0.0
        """When it last had one made, or began with the first of those in hand."""
        self._shims: list[int] = []
        """Whose containers it is to make: the first one's is in hand."""
        self._spare: Waiting | None = None
        self._is_made = False
        self._offered: set[int] = set()
        """Shims of which something is, or was, made ahead: what is left of it goes with them."""
        self._wish: Callable[[], None] = _nothing

    def on_wish(self, bear: Callable[[], None]) -> None:
        """Have ``bear`` called when it would make something ahead: it is answered by ``offer``."""
        self._wish = bear

    def offer(self, spare: Waiting, line: int) -> None:
        """Let it make something ahead for a shim at the other end of ``line``."""
        self._leave_spare()
        self._spare, self._is_made = spare, False
        self._offered.add(spare.pid)
        try:
            if self._line is not None:
                socket.send_fds(self._line, [_WISH + b"%d" % spare.pid], [line])
        except OSError:
            self.close()

    def take_spare(self) -> Waiting | None:
        """Return the shim that waits, unless its maker is busy: the caller calls it, then us."""
        self._look()
        if self._shims or not self._is_made:
            return None
        spare, self._spare = self._spare, None
        return spare

    def is_free(self) -> bool:
        """Tell whether the next container can be its."""
        self._look()
        if not self._shims:
            return True
        hangs = time.monotonic() - self._last_made > PATIENCE_SECONDS
        return len(self._shims) < _WAITING_MAX and not hangs

    def attend(self, shim: int, path: str, fds: Sequence[int]) -> None:
        """Have a shim's container made; one that it cannot make is left to the shim.

        ``fds``: the client's connection, the shim's channel, the token, and the line to the shim
        unless it has waited.
        """
        try:
            line = self._line = self._line or self._open()
            message = b"%d " % shim + path.encode("utf-8", "surrogateescape")
            socket.send_fds(line, [message], fds)
        except OSError:
            self.close()
        else:
            if not self._shims:
                self._last_made = time.monotonic()
            self._shims.append(shim)

    def rest(self) -> bool:
        """Let it end; tell whether there is none any more. One that hangs is killed after a while.

        To be called again and again.
        """
        self.close()
        if self._living and self._patience_ends < time.monotonic():
            for pid in self._living:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return not self._living

    def ended(self, shim: int, status: int) -> None:
        """Kill it with a shim that was killed: it may hang, and has that container's lock."""
        self._look()
        self._living.discard(shim)
        if self._spare is not None and self._spare.pid == shim:
            self._leave_spare()
        if shim in self._offered:
            self._offered.discard(shim)
            cgroups.sweep(self._directory)
        if os.WIFSIGNALED(status) and self._shims[:1] == [shim]:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self.close()

    def close(self) -> None:
        """Let it end."""
        self._leave_spare()
        if self._line is not None:
            self._loop.forget(self._line.fileno())
            self._line.close()
            self._line = None
            self._patience_ends = time.monotonic() + _END_SECONDS
        self._shims.clear()

    def _leave_spare(self) -> None:
        """Let the shim that waits end."""
        if self._spare is not None:
            self._spare.leash.close()
            self._spare = None

    def _look(self) -> None:
        """See what it has done, or whether it is gone."""
        while self._line is not None:
            try:
                told = self._line.recv(64, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                told = b""
            if told == _WISH:
                if self._directory:
                    self._wish()
            elif told == _MADE:
                self._is_made = True
            elif told == _NOT_MADE:
                self._leave_spare()
            elif told:
                del self._shims[:1]
                self._last_made = time.monotonic()
            else:
                self.close()

    def _open(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._pid = self._fork(lambda: _serve(theirs), (theirs.fileno(),))
            self._living.add(self._pid)
        self._loop.watch(ours.fileno(), lambda _: self._look())
        return ours


def _nothing() -> None:
    """Do nothing."""


def _serve(line: socket.socket) -> NoReturn:
    """Make one container a message, until there is none for a while or one could not be made."""
    syscalls.prctl(Prctl.SET_NAME, _NAME)
    gc.collect()
    gc.freeze()
    gc.disable()
    maker = Maker()
    try:
        with suppress(ConnectionError):  # the launcher is gone
            _make_all(line, maker)
    finally:
        maker.close()
    os._exit(0)


def _make_all(line: socket.socket, maker: Maker) -> None:
    waiting = select.poll()
    waiting.register(line, select.POLLIN)
    rest, wished = _IDLE_MILLISECONDS, False
    while rest > 0:
        wishes = maker.wants_spare and not wished
        patience = _QUIET_MILLISECONDS if wishes else rest
        if not waiting.poll(patience):
            rest -= patience
            if wishes:
                line.send(_WISH)
            wished = True
            continue
        message, passed, _, _ = line.recvmsg(_PATH_BYTES, _ROOM, socket.MSG_CMSG_CLOEXEC)
        shim, _, place = message.partition(b" ")
        fds = array("i", passed[0][2]) if passed else array("i")
        if message.startswith(_WISH):
            line.send(_MADE if maker.make_ahead(int(shim), fds[0]) else _NOT_MADE)
        elif not place or not maker.deliver(int(shim), place, fds):
            return
        else:
            line.send(_READY)
            rest = _IDLE_MILLISECONDS
        wished = False
        maker.clear()
        gc.collect()
