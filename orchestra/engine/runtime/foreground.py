"""A container's terminal in our own: bytes to and fro until its process ends.

For ``run`` and ``exec`` with a terminal and no console socket, as runc does. Our terminal is raw
meanwhile, so that the container's own does the echoing and turns ^C into a signal.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import socket
import termios
import tty
from collections.abc import Iterator

from orchestra.engine.linux import process as processes
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.engine.runtime.streams import forward_signals

_CHUNK = 65536


class Foreground:
    """The two ends of a console socket of our own: ``theirs`` is for the container's process."""

    def __init__(self) -> None:
        self._ours, peer = socket.socketpair()
        self.theirs = peer.detach()
        self._master = -1

    def close(self) -> None:
        """Close both ends."""
        self._ours.close()
        if self.theirs >= 0:
            os.close(self.theirs)
            self.theirs = -1
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def take(self) -> None:
        """Receive the terminal and give it our size; before a start, so that the program finds it.

        :raises RuntimeFailure: when no terminal came.
        """
        try:
            _, received, _, _ = socket.recv_fds(self._ours, 64, 1)
        except OSError as err:
            raise failed("receive the terminal", err) from err
        if not received:
            raise RuntimeFailure("cannot receive the terminal: none was sent")
        self._master = received[0]
        _copy_size(self._master)

    def wait(self, pid: int) -> int:
        """Carry bytes until the process, a child of ours, ends; return its exit code.

        :raises RuntimeFailure: when no terminal came.
        """
        if self._master < 0:
            self.take()
        forward_signals(pid)
        with _raw(0):
            _follow_size(self._master)
            return _carry(self._master, pid)


def _carry(master: int, pid: int) -> int:
    os.set_blocking(master, False)
    pidfd = os.pidfd_open(pid)
    typed, more = b"", True
    try:
        while True:
            # What the process does not take yet is left where it is, beyond a bound.
            listened = [0] if more and len(typed) < _CHUNK else []
            writable = [master] if typed else []
            ready, _, _ = select.select([master, pidfd, *listened], writable, [])
            if 0 in ready:
                chunk = _read(0)
                typed, more = typed + chunk, bool(chunk)
            if master in ready and not _show(master):
                break
            typed = _type(master, typed)
            if pidfd in ready:
                _show(master)
                break
    finally:
        os.close(pidfd)
    return processes.wait_exit(pid)["code"]


def _read(fd: int) -> bytes:
    try:
        return os.read(fd, _CHUNK)
    except OSError:
        return b""


def _show(master: int) -> bool:
    """Print what there is; False when nobody has the other end any more."""
    while True:
        try:
            chunk = os.read(master, _CHUNK)
        except BlockingIOError:
            return True
        except OSError as err:
            if err.errno == errno.EIO:
                return False
            raise
        if not chunk:
            return False
        while chunk:
            chunk = chunk[os.write(1, chunk) :]


def _type(master: int, typed: bytes) -> bytes:
    """Hand on what was typed; return what did not fit."""
    try:
        return typed[os.write(master, typed) :] if typed else b""
    except BlockingIOError:
        return typed
    except OSError:
        return b""


def _follow_size(master: int) -> None:
    """Give the terminal the size of ours whenever that changes."""
    signal.signal(signal.SIGWINCH, lambda _number, _frame: _copy_size(master))
    _copy_size(master)


def _copy_size(master: int) -> None:
    with contextlib.suppress(OSError):
        size = fcntl.ioctl(0, termios.TIOCGWINSZ, bytes(8))
        fcntl.ioctl(master, termios.TIOCSWINSZ, size)


@contextlib.contextmanager
def _raw(fd: int) -> Iterator[None]:
    """Make a terminal raw for a while; anything else stays as it is."""
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    tty.setraw(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
