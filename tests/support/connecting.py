"""A proxy for HTTPS: CONNECT on loopback, with names that only it knows."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_PIECE_BYTES = 1 << 16


@dataclass
class Proxy:
    """Where it listens, what names stand for, and what was asked of it.

    ``login``: "NAME:PASSWORD" that it wants. ``cut_down``, ``cut_up``: so many bytes go that way in
    the next connections, one number for each, and then those are cut.
    """

    address: str = ""
    names: dict[str, str] = field(default_factory=dict)
    login: str = ""
    cut_down: list[int] = field(default_factory=list)
    cut_up: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def serve(self, client: socket.socket) -> None:
        """Carry one connection."""
        with client, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = client.recv(_PIECE_BYTES)
                if not piece:
                    return
                head += piece
            lines = head.decode("ascii", "replace").split("\r\n")
            method, target, _ = lines[0].split(" ", 2)
            wanted = "Basic " + base64.b64encode(self.login.encode()).decode()
            given = {line.partition(":")[0].lower(): line.partition(": ")[2] for line in lines[1:]}
            if self.login and given.get("proxy-authorization") != wanted:
                client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                               b"Content-Length: 0\r\n\r\n")  # fmt: skip
                return
            self.asked.append(f"{method} {target}")
            host, _, port = self.names.get(target, target).rpartition(":")
            with socket.create_connection((host, int(port)), 30) as server:
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                down, up_most = (way.pop(0) if way else -1 for way in (self.cut_down, self.cut_up))
                up = threading.Thread(target=_carry, args=(client, server, up_most))
                up.start()
                _carry(server, client, down)
                up.join()


def _carry(source: socket.socket, target: socket.socket, limit: int) -> None:
    """Pass bytes on until the end, or the limit; then neither way goes on."""
    with suppress(OSError):
        while limit and (piece := source.recv(_PIECE_BYTES if limit < 0 else min(limit, 4096))):
            target.sendall(piece)
            limit -= len(piece) if limit > 0 else 0
    for each in (source, target):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@contextmanager
def serve_proxy() -> Iterator[Proxy]:
    """Run a proxy on a free port of 127.0.0.1 for the length of a block."""
    proxy = Proxy()
    listening = socket.create_server(("127.0.0.1", 0))
    proxy.address = f"127.0.0.1:{listening.getsockname()[1]}"
    carrying: list[threading.Thread] = []

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                carrying.append(threading.Thread(target=proxy.serve, args=(client,)))
                carrying[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield proxy
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        accepting.join()
        for thread in carrying:
            thread.join(30)
