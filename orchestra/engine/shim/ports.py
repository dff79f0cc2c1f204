"""Published ports: bound before a start, held while the container runs.

The firewall takes most packets before they get here; the socket keeps the port from others, and
serves what the firewall does not see.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence

from orchestra.engine.shim.failure import ShimFailure
from orchestra.engine.shim.protocol import Listen

_BACKLOG = 512
_KIND = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def bind_ports(listen: Sequence[Listen]) -> list[int]:
    """Bind every port; return the sockets in the same order.

    :raises ShimFailure: naming the first port that cannot be had; nothing stays bound then.
    """
    bound: list[socket.socket] = []
    for wanted in listen:
        try:
            bound.append(_bind(wanted))
        except OSError as err:
            for sock in bound:
                sock.close()
            raise _refused(wanted, err) from err
    return [sock.detach() for sock in bound]


def _bind(wanted: Listen) -> socket.socket:
    family = socket.AF_INET6 if ":" in wanted["address"] else socket.AF_INET
    sock = socket.socket(family, _KIND[wanted["protocol"]])
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if wanted["protocol"] == "tcp":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((wanted["address"], wanted["port"]))
        if wanted["protocol"] == "tcp":
            sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _refused(wanted: Listen, err: OSError) -> ShimFailure:
    where = f"port {wanted['port']}/{wanted['protocol']} of {wanted['address']}"
    reason = {
        errno.EADDRINUSE: "it is taken",
        errno.EADDRNOTAVAIL: "this host has no such address",
        errno.EACCES: "it needs root",
    }.get(err.errno or 0, str(err.strerror).lower())
    return ShimFailure(f"cannot publish {where}: {reason}", errno=err.errno or 0, port=wanted)
