"""Where the shims of plain containers are forked: a process that has never done anything else.

A page that a shim shares with the process it came from is the shim's alone once that process has
written there, and Python writes wherever it looks. A launcher looks at much between two starts.
This process looks at one message a start. Its children are the launcher's (CLONE_PARENT).
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import struct
import sys
from array import array
from collections.abc import Sequence
from typing import NoReturn

from orchestra.engine.launcher.midwife import PATIENCE_SECONDS, Midwife, Waiting
from orchestra.engine.linux import forks, pools, process
from orchestra.engine.shim.failure import ShimFailure
from orchestra.engine.shim.vigil import keep_vigil, wait_for_call

_PATH_BYTES = 8192
_AHEAD = "\0"
"""In place of a path: a shim that waits to be called."""
_AHEAD_BYTES = _AHEAD.encode()
_PATIENCE = struct.pack("@ll", 0, int(PATIENCE_SECONDS * 1_000_000))
"""A struct timeval. That a shim waits no longer is the kernel's to see: it takes no pages."""
_ROOM = socket.CMSG_SPACE(16)
_UNATTENDED = [-1, -1]
_UNIX, _SEQPACKET = int(socket.AF_UNIX), int(socket.SOCK_SEQPACKET)
_setsid = os.setsid


class Nursery:
    """The launcher's line to it; it is there from the first start on."""

    def __init__(self, midwife: Midwife) -> None:
        self._midwife = midwife
        midwife.on_wish(self._bear_ahead)
        self._line: socket.socket | None = None

    def bear(self, path: str, passed: Sequence[socket.socket]) -> int:
        """Fork the shim of a plain container's request, as a child of this process.

        ``passed``: the client's connection, the shim's channel. A maker that is free is called.

        :raises ShimFailure: when it cannot be forked.
        """
        fds = [sock.fileno() for sock in passed]
        for _ in range(2):  # one that somebody killed is followed by another
            pid = self._call(path, fds)
            if not pid and self._midwife.is_free():
                pid = self._attended(path, fds)
            elif not pid:
                pid = self._fork(path, fds)
            if pid:
                return pid
            self.close()
        raise ShimFailure("cannot fork the container's shim: it is killed each time")

    def _call(self, path: str, fds: Sequence[int]) -> int:
        """Give a request to the shim that waits for one; return its pid, 0 where there is none."""
        spare = self._midwife.take_spare()
        if spare is None:
            return 0
        token = _token()
        try:
            with spare.leash:
                socket.send_fds(
                    spare.leash, [path.encode("utf-8", "surrogateescape")], (*fds, token)
                )
        except OSError:  # it has just ended
            return 0
        else:
            self._midwife.attend(spare.pid, path, (*fds, token))
            return spare.pid
        finally:
            os.close(token)

    def _bear_ahead(self) -> None:
        """Fork a shim that waits to be called, and a part of whose container is made already."""
        sockets: list[socket.socket] = []
        try:
            sockets += socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            sockets += _line_to_maker()
            ours, leash, shims, makers = sockets
            pid = self._fork(_AHEAD, (leash.fileno(), shims.fileno()))
            if pid:
                self._midwife.offer(Waiting(pid, ours), makers.fileno())
                sockets.remove(ours)
        except (ShimFailure, OSError):
            pass  # whoever starts a container will be told
        finally:
            for sock in sockets:
                sock.close()

    def _attended(self, path: str, fds: Sequence[int]) -> int:
        """Fork the shim, then call its maker: it needs longer until they have to do with another.

        Of a nursery that is killed meanwhile nobody knows whether it has forked one: such a shim
        finds that there is no maker.
        """
        shims, makers = _line_to_maker()
        token = _token()
        try:
            pid = self._fork(path, (*fds, shims.fileno(), token))
            if pid:
                self._midwife.attend(pid, path, (*fds, token, makers.fileno()))
        finally:
            shims.close()
            makers.close()
            os.close(token)
        return pid

    def _fork(self, path: str, fds: Sequence[int]) -> int:
        """Return the pid of a shim, 0 where the nursery has been killed."""
        line = self._line = self._line or _open()
        try:
            socket.send_fds(line, [path.encode("utf-8", "surrogateescape")], fds)
            answer = line.recv(64)
        except OSError:
            answer = b""
        if answer.startswith(b"-"):
            number = int(answer[1:])
            why = os.strerror(number).lower()
            raise ShimFailure(f"cannot fork the container's shim: {why}", errno=number)
        return int(answer or 0)

    def ended(self, pid: int, status: int) -> None:
        """Hear of the end of a shim, or of another child of the launcher's."""
        self._midwife.ended(pid, status)

    def rest(self) -> bool:
        """Let the maker end, with what it has made ahead; tell whether there is none any more."""
        return self._midwife.rest()

    def end(self) -> None:
        """Let it end, and the maker."""
        self.close()
        self._midwife.close()

    def close(self) -> None:
        """Let it end: the next shim comes of a new one."""
        if self._line is not None:
            self._line.close()
            self._line = None


def _line_to_maker() -> tuple[socket.socket, socket.socket]:
    """Return a shim's end and its maker's; a shim finds no message after this long (EAGAIN)."""
    shims, makers = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    shims.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _PATIENCE)
    return shims, makers


def _token() -> int:
    return os.eventfd(1, os.EFD_CLOEXEC | os.EFD_NONBLOCK)


def _open() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            process.close_all_but((theirs.fileno(),))
            gc.collect()
            gc.freeze()
            gc.disable()
            pools.fill()
            _serve(socket.SocketType(_UNIX, _SEQPACKET, 0, theirs.detach()))
        except BaseException:  # noqa: BLE001 - the entry point of a process
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(1)
    theirs.close()
    return ours


def _serve(line: socket.SocketType) -> NoReturn:
    """Fork one shim a message, until the launcher is gone, also in the middle of a fork."""
    fork = forks.sibling_forker()
    while True:
        try:
            path, passed, _, _ = line.recvmsg(_PATH_BYTES, _ROOM, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            os._exit(0)
        if not path:
            os._exit(0)
        fds = array("i", passed[0][2]).tolist()
        all_four = (fds + _UNATTENDED)[:4]
        try:
            pid = fork()
        except OSError as err:
            answer = b"-%d" % (err.errno or 0)
        else:
            if pid == 0:
                line.close()
                _be_shim(path, all_four)
            answer = b"%d" % pid
        for fd in fds:
            os.close(fd)
        try:
            line.send(answer)
        except ConnectionError:
            os._exit(0)


def _be_shim(path: bytes, fds: list[int]) -> NoReturn:
    code = 1
    try:
        _setsid()
        if path == _AHEAD_BYTES:
            leash, line, _, _ = fds
            wait_for_call(leash, line)
        else:
            connection, channel, line, token = fds
            keep_vigil(path, connection, channel, line, token)
        code = 0
    except BaseException:  # noqa: BLE001 - the entry point of a process
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)
