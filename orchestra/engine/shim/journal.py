"""journald's native protocol: a message is a datagram of fields, or a sealed memory file of them.

systemd, docs/JOURNAL_NATIVE_PROTOCOL.md. The fields are docker's (moby, daemon/logger/journald).
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
from collections.abc import Mapping

from orchestra.engine.shim.logfile import stamp
from orchestra.engine.shim.message import Message

SOCKET_PATH = "/run/systemd/journal/socket"
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_SEND_SECONDS = 5.0
_ERROR, _INFO = "3", "6"


class Journal:
    """This host's journald."""

    name = "journald"
    stream = False
    loses = False

    def __init__(self, fields: Mapping[str, str], path: str = SOCKET_PATH) -> None:
        epoch = os.urandom(32).hex()
        self._path = path
        self._fields = b"".join(_field(name, value) for name, value in fields.items())
        self._fields += _field("CONTAINER_LOG_EPOCH", epoch)
        self._ordinal = 0
        self._lines: dict[bool, tuple[str, int]] = {}
        self._socket: socket.socket | None = None

    def connect(self) -> None:
        """Open the socket.

        :raises OSError: when nobody listens there.
        """
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        sock.settimeout(_SEND_SECONDS)
        try:
            sock.connect(self._path)
        except OSError:
            sock.close()
            raise
        self._socket = sock

    def close(self) -> None:
        """Close the socket."""
        if self._socket:
            self._socket.close()
            self._socket = None

    def encode(self, message: Message) -> bytes:
        """Return a message's fields; of the pieces of one line, which they are."""
        self._ordinal += 1
        fields = {
            "MESSAGE": message.text,
            "PRIORITY": _ERROR if message.stderr else _INFO,
            "SYSLOG_TIMESTAMP": stamp(message.nanoseconds),
            "CONTAINER_LOG_ORDINAL": str(self._ordinal),
        }
        line, piece = self._lines.pop(message.stderr, ("", 0))
        if message.partial or line:
            line, piece = line or os.urandom(32).hex(), piece + 1
            fields["CONTAINER_PARTIAL_ID"] = line
            fields["CONTAINER_PARTIAL_ORDINAL"] = str(piece)
            fields["CONTAINER_PARTIAL_LAST"] = "false" if message.partial else "true"
        if message.partial:
            fields["CONTAINER_PARTIAL_MESSAGE"] = "true"
            self._lines[message.stderr] = (line, piece)
        return b"".join(_field(name, value) for name, value in fields.items()) + self._fields

    def send(self, data: bytes) -> None:
        """Send one message, in a memory file when it is too big for a datagram.

        :raises OSError: when journald does not take it.
        """
        assert self._socket
        try:
            self._socket.send(data)
        except OSError as err:
            if err.errno not in {errno.EMSGSIZE, errno.ENOBUFS}:
                raise
            self._send_file(self._socket, data)

    def _send_file(self, sock: socket.socket, data: bytes) -> None:
        fd = os.memfd_create("journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, _SEALS)
            rights = array.array("i", [fd]).tobytes()
            sock.sendmsg([b""], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        finally:
            os.close(fd)


def _field(name: str, value: str) -> bytes:
    """Return one field: NAME=VALUE, or with its length where the value has a line end in it."""
    data = value.encode("utf-8", "surrogateescape")
    if b"\n" not in data:
        return name.encode() + b"=" + data + b"\n"
    return name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
