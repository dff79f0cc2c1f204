"""When an IPv6 address that was just added can be reached: a worker of the kernel makes its route.

Duplicate address detection left out or not (addrconf_dad_work), until then the address may be
bound to, and what is sent to it is dropped: the answer of the first neighbour that is asked, too,
which is then asked again a second later.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterable

from orchestra.engine.linux.attributes import read_attributes

_GROUP_IPV6_ROUTE = 0x400
_NEWROUTE, _RTN_LOCAL, _RTA_DST = 24, 2, 1
_HEADER = struct.Struct("=IHHII")
_RTMSG = struct.Struct("=BBBBBBBBI")
_BUFFER_BYTES = 1 << 15


class LocalRoutes:
    """Hears of this network namespace's routes from now on; to be opened before addresses come."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, _GROUP_IPV6_ROUTE))

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def wait(self, addresses: Iterable[str], seconds: float) -> bool:
        """Wait until each of ``addresses`` has its route; tell whether that came in time."""
        missing = {socket.inet_pton(socket.AF_INET6, address) for address in addresses}
        deadline = time.monotonic() + seconds
        while missing and (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            try:
                missing -= _destinations(self._socket.recv(_BUFFER_BYTES))
            except OSError:  # too late; or more was told than there was room for
                break
        return not missing


def _destinations(data: bytes) -> set[bytes]:
    """Return where the local routes lead that a packet tells of."""
    found = set()
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, offset)
        body = data[offset + _HEADER.size : offset + length]
        if kind == _NEWROUTE and _RTMSG.unpack_from(body)[7] == _RTN_LOCAL:
            found.add(read_attributes(body[_RTMSG.size :]).get(_RTA_DST, b""))
        offset += (length + 3) & ~3
    return found
