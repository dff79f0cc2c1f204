"""Terminals and attached clients: the pty's master, and who reads and writes with it.

The attach socket (attach.sock, SOCK_SEQPACKET) carries packets of one letter and its data.
From the shim: ``o`` stdout, ``e`` stderr; the end of the container is the end of the connection.
To the shim: ``i`` input, ``c`` no more input, ``r`` and "ROWS COLUMNS" a new window size.
"""

# No pathlib here: the process stays small.
# ruff: noqa: PTH108

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios
from collections.abc import Callable
from contextlib import suppress

from orchestra.engine.shim import wire
from orchestra.engine.shim.failure import ShimFailure
from orchestra.engine.shim.protocol import ATTACH_PACKET_BYTES, ATTACH_SOCKET

_TIOCGPTPEER = 0x5441
_BACKLOG_BYTES = 1 << 20


def set_window(master: int, rows: int, columns: int) -> None:
    """Set a terminal's size; a terminal that is gone has none."""
    size = struct.pack("HHHH", rows & 0xFFFF, columns & 0xFFFF, 0, 0)
    try:
        fcntl.ioctl(master, termios.TIOCSWINSZ, size)
    except OSError:
        return


def hold_peer(master: int) -> int:
    """Open the slave side and keep it, so that the master never reports EIO while in use.

    A container may close and open its terminal at will (TIOCGPTPEER of ioctl_tty(2), Linux 4.13).
    """
    return fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)


def receive_master(sock: socket.socket) -> int:
    """Take the pty's master from the runtime, as runc's console socket hands it over.

    :raises ShimFailure: when none comes within ten seconds.
    """
    sock.settimeout(10)
    try:
        _, fds, _, _ = socket.recv_fds(sock, 4096, 1)
    except OSError as err:
        raise ShimFailure(f"cannot get the terminal: {err}") from err
    if not fds:
        raise ShimFailure("cannot get the terminal: the runtime sent none")
    os.set_inheritable(fds[0], False)  # noqa: FBT003
    return fds[0]


def listen_at(directory: str, name: str, kind: int = socket.SOCK_SEQPACKET) -> socket.socket:
    """Listen on a unix socket of any directory, however long its path (108 bytes in unix(7)).

    :raises OSError: when the directory refuses.
    """
    directory_fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory_fd)
        sock = socket.socket(socket.AF_UNIX, kind)
        mask = os.umask(0o177)
        try:
            sock.bind(f"/proc/self/fd/{directory_fd}/{name}")
        finally:
            os.umask(mask)
        sock.listen(128)
        return sock
    finally:
        os.close(directory_fd)


class _Client:
    """One attached client, with what it has not taken yet."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.pending: list[bytes] = []
        self.pending_bytes = 0

    def send(self, packet: bytes) -> bool:
        """Send or keep; False when it has fallen too far behind."""
        if not self.pending:
            try:
                self.sock.send(packet, socket.MSG_NOSIGNAL)
                return True
            except BlockingIOError:
                pass
            except OSError:
                return False
        self.pending.append(packet)
        self.pending_bytes += len(packet)
        return self.pending_bytes <= _BACKLOG_BYTES

    def flush(self) -> bool:
        """Send what was kept; False when the client is gone."""
        while self.pending:
            try:
                self.sock.send(self.pending[0], socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return True
            except OSError:
                return False
            self.pending_bytes -= len(self.pending.pop(0))
        return True


class Attachments:
    """The attach socket's clients, inside the monitor's poll loop.

    ``watch(fd, events)`` and ``forget(fd)`` enter and leave that loop. ``write_input`` takes the
    clients' input, ``close_input`` its end, ``resize`` window sizes.
    """

    def __init__(
        self,
        directory: str,
        listener: socket.socket,
        *,
        write_input: Callable[[bytes], None],
        close_input: Callable[[], None],
        resize: Callable[[int, int], None],
    ) -> None:
        self.listener = listener
        self.listener.settimeout(0)
        self._directory = directory
        self._write_input = write_input
        self._close_input = close_input
        self._resize = resize
        self._clients: dict[int, _Client] = {}

    def accept(self) -> int | None:
        """Take a new client in; return its descriptor for polling."""
        try:
            sock, _ = self.listener.accept()
        except OSError:
            return None
        sock.settimeout(0)
        wire.enlarge(sock)
        self._clients[sock.fileno()] = _Client(sock)
        return sock.fileno()

    def broadcast(self, stream: str, data: bytes) -> list[int]:
        """Give output to every client; return those that were dropped for being too slow."""
        dropped = []
        letter = b"e" if stream == "stderr" else b"o"
        for fd, client in list(self._clients.items()):
            for start in range(0, len(data), ATTACH_PACKET_BYTES):
                if not client.send(letter + data[start : start + ATTACH_PACKET_BYTES]):
                    dropped.append(fd)
                    break
        return dropped

    def blocked(self) -> list[int]:
        """Return the clients that wait to be writable."""
        return [fd for fd, client in self._clients.items() if client.pending]

    def has(self, fd: int) -> bool:
        """Tell whether a descriptor is a client's."""
        return fd in self._clients

    def is_blocked(self, fd: int) -> bool:
        """Tell whether a client waits to be writable."""
        return fd in self._clients and bool(self._clients[fd].pending)

    def flush(self, fd: int) -> bool:
        """Send a client what was kept for it; False when it is gone."""
        return self._clients[fd].flush()

    def read(self, fd: int) -> bool:
        """Handle one packet of a client; False when it is gone."""
        try:
            packet = self._clients[fd].sock.recv(ATTACH_PACKET_BYTES + 1)
        except BlockingIOError:
            return True
        except OSError:
            return False
        letter, data = packet[:1], packet[1:]
        if letter == b"i":
            self._write_input(data)
        elif letter == b"c":
            self._close_input()
        elif letter == b"r":
            rows, _, columns = data.partition(b" ")
            if rows.isdigit() and columns.isdigit():
                self._resize(int(rows), int(columns))
        return bool(packet)

    def drop(self, fd: int) -> None:
        """Close a client's connection."""
        self._clients.pop(fd).sock.close()

    def close(self) -> None:
        """Close everything and take the socket's name away."""
        for fd in list(self._clients):
            self.flush(fd)
            self.drop(fd)
        self.listener.close()
        with suppress(OSError):
            os.unlink(f"{self._directory}/{ATTACH_SOCKET}")
