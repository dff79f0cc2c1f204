"""syslog as docker's driver speaks it: over udp, tcp, tcp with TLS, unix sockets.

One tag, two severities, three formats and the plain one (moby, daemon/logger/syslog, and the
RackSec/srslog that it is made of).
"""

from __future__ import annotations

import os
import select
import socket
import time
from contextlib import suppress

from orchestra.engine.shim.message import Message
from orchestra.engine.shim.protocol import SyslogReceiver

_OWN_PATHS = ("/dev/log", "/var/run/syslog", "/var/run/log")
_SECONDS = 5.0
_ERROR, _INFO = 3, 6
_GONE = select.POLLRDHUP | select.POLLHUP | select.POLLERR


class Syslog:
    """A receiver, this host's own or another's."""

    def __init__(self, receiver: SyslogReceiver, tag: str, pid: int) -> None:
        self.name = f"syslog at {receiver['address'] or 'this host'}"
        self.loses = receiver["network"] == "udp"
        """A datagram that nobody takes is lost: that is what it was chosen for."""
        self._receiver = receiver
        self._tag = tag or "orchestra"
        self._pid = pid
        self._host = os.uname().nodename or "localhost"
        self._socket: socket.socket | None = None
        self.stream = False
        self._head = (-1, False, b"")

    def connect(self) -> None:
        """Connect.

        :raises OSError: when nobody answers, or TLS does not come about.
        """
        sock = self._open()
        sock.settimeout(_SECONDS)
        self._socket = sock
        self.stream = sock.type == socket.SOCK_STREAM

    def close(self) -> None:
        """Close the connection."""
        if self._socket:
            with suppress(OSError):
                self._socket.close()
            self._socket = None

    def _open(self) -> socket.socket:
        receiver = self._receiver
        match receiver["network"]:
            case "":
                return _open_own()
            case "unix":
                return _open_unix(receiver["host"], socket.SOCK_STREAM)
            case "unixgram":
                return _open_unix(receiver["host"], socket.SOCK_DGRAM)
            case "udp":
                return _open_udp(receiver["host"], receiver["port"])
            case "tcp":
                return _open_tcp(receiver)
            case "tcp+tls":
                return _open_tls(receiver)

    def encode(self, message: Message) -> bytes:
        """Return a message in the receiver's format; of an empty line nothing is said."""
        if not message.text:
            return b""
        seconds, stderr, head = self._head
        now = message.nanoseconds // (1000 if self._receiver["format"] == "rfc5424micro" else 10**9)
        if (now, message.stderr) != (seconds, stderr):
            head = self._head_of(message)
            self._head = (now, message.stderr, head)
        data = head + message.text.encode("utf-8", "surrogateescape") + b"\n"
        if self._receiver["network"] == "tcp+tls" and self._receiver["format"].startswith(
            "rfc5424"
        ):
            return b"%d %s" % (len(data), data)
        return data

    def _head_of(self, message: Message) -> bytes:
        """Return what stands before the text: the same for all of one moment."""
        severity = _ERROR if message.stderr else _INFO
        priority = self._receiver["facility"] * 8 + severity
        kind = self._receiver["format"]
        if kind.startswith("rfc5424"):
            when = iso_time(message.nanoseconds, micro=kind == "rfc5424micro")
            head = f"<{priority}>1 {when} {self._host} {self._tag} {self._pid} {self._tag} - "
        else:
            when = time.strftime("%b %e %H:%M:%S", time.localtime(message.nanoseconds // 10**9))
            place = f" {self._host}" if kind == "rfc3164" else ""
            head = f"<{priority}>{when}{place} {self._tag}[{self._pid}]: "
        return head.encode("utf-8", "surrogateescape")

    def send(self, data: bytes) -> None:
        """Send one message, or several in a stream.

        :raises OSError: when the receiver is gone, or takes nothing for a while.
        """
        assert self._socket
        if self.stream and self._is_gone(self._socket):
            raise ConnectionResetError("the receiver closed the connection")
        self._socket.sendall(data)

    def _is_gone(self, sock: socket.socket) -> bool:
        """Tell whether the other side has hung up: what is written then would be lost unseen."""
        poll = select.poll()
        poll.register(sock, _GONE)
        return bool(poll.poll(0))


def iso_time(nanoseconds: int, *, micro: bool) -> str:
    """Return a time as RFC 3339 with this host's offset, to the second or the microsecond."""
    seconds, rest = divmod(nanoseconds, 10**9)
    local = time.localtime(seconds)
    minutes = local.tm_gmtoff // 60
    sign, minutes = ("-", -minutes) if minutes < 0 else ("+", minutes)
    offset = f"{sign}{minutes // 60:02d}:{minutes % 60:02d}" if minutes else "Z"
    fraction = f".{rest // 1000:06d}" if micro else ""
    return time.strftime("%Y-%m-%dT%H:%M:%S", local) + fraction + offset


def _open_own() -> socket.socket:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        for path in _OWN_PATHS:
            with suppress(OSError):
                return _open_unix(path, kind)
    raise FileNotFoundError(f"nobody listens at {', '.join(_OWN_PATHS)}")


def _open_unix(path: str, kind: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, kind | socket.SOCK_CLOEXEC)
    sock.settimeout(_SECONDS)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def _open_udp(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    sock = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
    try:
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    return sock


def _open_tcp(receiver: SyslogReceiver) -> socket.socket:
    return socket.create_connection((receiver["host"], receiver["port"]), _SECONDS)


def _open_tls(receiver: SyslogReceiver) -> socket.socket:
    import ssl  # noqa: PLC0415 - 20 ms and some MiB that no other receiver needs

    context = ssl.create_default_context(cafile=receiver["ca_cert"] or None)
    if receiver["skip_verify"]:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if receiver["cert"]:
        context.load_cert_chain(receiver["cert"], receiver["key"])
    raw = _open_tcp(receiver)
    try:
        return context.wrap_socket(raw, server_hostname=receiver["host"])
    except OSError:
        raw.close()
        raise
