"""Links, addresses and routes over raw rtnetlink (rtnetlink(7)), with the standard library alone.

A socket belongs to the network namespace in which it was opened, wherever its process goes later:
open one, move into another namespace, and it still speaks of the first. The kernel answers before
sendmsg(2) returns, so nothing here waits. Errors are OSError with the kernel's errno, whose text
names the operation and carries the kernel's own explanation (extended ack) where it gives one.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

from orchestra.engine.linux.attributes import (
    NESTED,
    attribute,
    number,
    read_attributes,
    text,
)
from orchestra.values import dataclass

_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_REQUEST, _MULTI, _ACK = 0x1, 0x2, 0x4
_DUMP, _EXCL, _CREATE, _REPLACE = 0x300, 0x200, 0x400, 0x100
_ACK_TLVS = 0x200
_ERROR, _DONE = 2, 3
_NEWLINK, _DELLINK, _GETLINK, _SETLINK = 16, 17, 18, 19
_NEWADDR, _GETADDR = 20, 22
_NEWROUTE, _GETROUTE = 24, 26
_IFF_UP = 0x1
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER = 1, 3, 4, 10
_IFLA_LINKINFO, _IFLA_NET_NS_FD, _IFLA_EXT_MASK, _IFLA_ALT_IFNAME = 18, 28, 29, 53
_SKIP_STATS = 1 << 3
"""RTEXT_FILTER_SKIP_STATS."""
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 1, 2, 8
_IFA_F_NODAD = 0x02
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_RT_TABLE_MAIN, _RTPROT_STATIC, _RTN_UNICAST = 254, 4, 1
_BUFFER_BYTES = 1 << 15
"""The kernel sends no more at once (netlink_dump)."""
_HEADER = struct.Struct("=IHHII")
_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBi")
_RTMSG = struct.Struct("=BBBBBBBBI")


class NetlinkError(OSError):
    """The kernel refused an operation on links, addresses or routes."""

    def __str__(self) -> str:
        return str(self.strerror)


@dataclass(frozen=True, slots=True)
class Link:
    """One network interface; ``master`` is the index of the bridge it is a port of, or 0."""

    index: int
    name: str
    kind: str
    master: int
    up: bool
    mac: str


@dataclass(frozen=True, slots=True)
class Prefix:
    """An address or a route's destination with its prefix length, and the link's index."""

    address: str
    length: int
    link: int


def _veth_with(peer: bytes) -> bytes:
    """Return the attribute that makes a link an end of a veth pair; ``peer`` is the other's."""
    data = attribute(_INFO_DATA | NESTED, attribute(_VETH_PEER | NESTED, peer))
    return attribute(_IFLA_LINKINFO | NESTED, text(_INFO_KIND, "veth") + data)


def _mac(address: str) -> bytes:
    return bytes.fromhex(address.replace(":", ""))


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class Netlink:
    """A socket for links, addresses and routes of one network namespace.

    Not for several threads at once.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, 0))
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
        self._sequence = 0
        self._batch: list[tuple[bytes, str]] | None = None
        self._indexes: dict[str, int] = {}

    def __enter__(self) -> Netlink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def fileno(self) -> int:
        """Return the socket's descriptor, for poll and for closing by number."""
        return self._socket.fileno()

    @contextmanager
    def batch(self, known: Mapping[str, int] | None = None) -> Iterator[None]:
        """Hold changes back and send them in one packet at the end of the context.

        Every change is tried, also after one that failed. Names of links are looked up when the
        first change is asked for, so a link must exist before the batch that gives it an address.
        ``known``: indexes that need not be looked up.

        :raises NetlinkError: the first failure.
        """
        pending: list[tuple[bytes, str]] = []
        self._batch = pending
        self._indexes.update(known or {})
        try:
            yield
        finally:
            self._batch = None
            self._indexes.clear()
        if pending:
            self._send(pending)

    def link_index(self, name: str) -> int:
        """Return a link's index.

        :raises NetlinkError: with ENODEV when there is no such link.
        """
        index = self._indexes.get(name) or self.link(name).index
        if self._batch is not None:
            self._indexes[name] = index
        return index

    def link(self, name: str) -> Link:
        """Return what a link is.

        :raises NetlinkError: with ENODEV when there is no such link.
        """
        body = (
            _IFINFO.pack(0, 0, 0, 0, 0)
            + text(_IFLA_IFNAME, name)
            + number(_IFLA_EXT_MASK, _SKIP_STATS)
        )
        return _parse_link(self._exchange(_GETLINK, 0, body, f'find link "{name}"')[0])

    def links(self) -> list[Link]:
        """Return every link."""
        return [_parse_link(reply) for reply in self._dump(_GETLINK, _IFINFO.pack(0, 0, 0, 0, 0))]

    def addresses(self) -> list[Prefix]:
        """Return every address of every link, IPv4 and IPv6."""
        found = []
        for reply in self._dump(_GETADDR, _IFADDR.pack(0, 0, 0, 0, 0)):
            family, length, _, _, link = _IFADDR.unpack_from(reply)
            attributes = read_attributes(reply[_IFADDR.size :])
            raw = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
            if raw:
                found.append(Prefix(socket.inet_ntop(family, raw), length, link))
        return found

    def routes(self) -> list[Prefix]:
        """Return the unicast destinations of the main routing table but for default routes."""
        found = []
        for reply in self._dump(_GETROUTE, _RTMSG.pack(0, 0, 0, 0, 0, 0, 0, 0, 0)):
            family, length, _, _, table, _, _, kind, _ = _RTMSG.unpack_from(reply)
            if table != _RT_TABLE_MAIN or kind != _RTN_UNICAST or not length:
                continue
            attributes = read_attributes(reply[_RTMSG.size :])
            if family in {socket.AF_INET, socket.AF_INET6} and _RTA_DST in attributes:
                (link,) = struct.unpack("=i", attributes.get(_RTA_OIF, bytes(4)))
                address = socket.inet_ntop(family, attributes[_RTA_DST])
                found.append(Prefix(address, length, link))
        return found

    def add_bridge(self, name: str, *, mac: str, mtu: int = 1500) -> None:
        """Make a bridge and raise it; a fixed address keeps it from changing with its ports.

        :raises NetlinkError: with EEXIST when there is a link of that name.
        """
        body = (
            _IFINFO.pack(0, 0, 0, _IFF_UP, _IFF_UP)
            + text(_IFLA_IFNAME, name)
            + attribute(_IFLA_ADDRESS, _mac(mac))
            + number(_IFLA_MTU, mtu)
            + attribute(_IFLA_LINKINFO | NESTED, text(_INFO_KIND, "bridge"))
        )
        self._change(_NEWLINK, _CREATE | _EXCL, body, f'create bridge "{name}"')

    def add_veth(
        self, host_name: str, peer_name: str, *, bridge: str, peer_netns_fd: int, mac: str, mtu: int
    ) -> None:
        """Make a veth pair: one end a raised port of ``bridge``, the other one in a namespace.

        ``mac`` is the address of the end inside, which its own namespace's socket has to raise.
        This socket must be of the bridge's namespace.

        :raises NetlinkError: with EEXIST when a name is taken, ENODEV when there is no bridge.
        """
        # The peer cannot be born raised: veth_open fails with ENOTCONN before the pair is joined.
        peer = (
            _IFINFO.pack(0, 0, 0, 0, 0)
            + text(_IFLA_IFNAME, peer_name)
            + attribute(_IFLA_ADDRESS, _mac(mac))
            + number(_IFLA_MTU, mtu)
            + number(_IFLA_NET_NS_FD, peer_netns_fd)
        )
        body = (
            _IFINFO.pack(0, 0, 0, _IFF_UP, _IFF_UP)
            + text(_IFLA_IFNAME, host_name)
            + number(_IFLA_MTU, mtu)
            + number(_IFLA_MASTER, self.link_index(bridge))
            + _veth_with(peer)
        )
        what = f'attach "{host_name}" to bridge "{bridge}"'
        self._change(_NEWLINK, _CREATE | _EXCL, body, what)

    def add_loose_veth(self, host_name: str, peer_name: str, *, peer_netns_fd: int) -> int:
        """Make a veth pair, both ends down, one of them in a namespace; return the other's index.

        :raises NetlinkError: with EEXIST when a name is taken.
        """
        peer = (
            _IFINFO.pack(0, 0, 0, 0, 0)
            + text(_IFLA_IFNAME, peer_name)
            + number(_IFLA_NET_NS_FD, peer_netns_fd)
        )
        body = _IFINFO.pack(0, 0, 0, 0, 0) + text(_IFLA_IFNAME, host_name) + _veth_with(peer)
        self._change(_NEWLINK, _CREATE | _EXCL, body, f'make "{host_name}"')
        return self.link_index(host_name)

    def make_port(self, index: int, name: str, *, bridge: str, mtu: int) -> None:
        """Name a link, and make it a raised port of a bridge.

        :raises NetlinkError: with EEXIST when the name is taken, ENODEV when there is no bridge.
        """
        body = (
            _IFINFO.pack(0, 0, index, _IFF_UP, _IFF_UP)
            + text(_IFLA_IFNAME, name)
            + number(_IFLA_MTU, mtu)
            + number(_IFLA_MASTER, self.link_index(bridge))
        )
        self._change(_SETLINK, 0, body, f'attach "{name}" to bridge "{bridge}"')

    def set_hardware(self, name: str, *, mac: str, mtu: int) -> None:
        """Set a link's address and MTU.

        :raises NetlinkError: with ENODEV when there is no such link.
        """
        body = (
            _IFINFO.pack(0, 0, self.link_index(name), 0, 0)
            + attribute(_IFLA_ADDRESS, _mac(mac))
            + number(_IFLA_MTU, mtu)
        )
        self._change(_SETLINK, 0, body, f'set the address of "{name}"')

    def link_up(self, name: str) -> None:
        """Raise a link.

        :raises NetlinkError: with ENODEV when there is no such link.
        """
        body = _IFINFO.pack(0, 0, self.link_index(name), _IFF_UP, _IFF_UP)
        self._change(_SETLINK, 0, body, f'raise link "{name}"')

    def set_loopback_up(self) -> None:
        """Raise the namespace's loopback, which always has index 1."""
        self._change(_SETLINK, 0, _IFINFO.pack(0, 0, 1, _IFF_UP, _IFF_UP), 'raise link "lo"')

    def delete_link(self, name: str, *, missing_ok: bool = False) -> None:
        """Remove a link, and with it its addresses, routes and veth peer.

        :raises NetlinkError: with ENODEV when there is no such link, unless ``missing_ok``.
        """
        body = _IFINFO.pack(0, 0, 0, 0, 0) + text(_IFLA_IFNAME, name)
        try:
            self._change(_DELLINK, 0, body, f'delete link "{name}"')
        except NetlinkError as err:
            if not (missing_ok and err.errno == errno.ENODEV):
                raise

    def add_address(self, name: str, address: str) -> None:
        """Give a link an address with its prefix length ("10.0.0.2/16"); one it has is no error.

        IPv6 addresses can be used at once: duplicate address detection is left out.

        :raises NetlinkError: when the kernel refuses.
        """
        host, _, length = address.partition("/")
        family = _family(host)
        raw = socket.inet_pton(family, host)
        flags = _IFA_F_NODAD if family == socket.AF_INET6 else 0
        body = (
            _IFADDR.pack(family, int(length), flags, 0, self.link_index(name))
            + attribute(_IFA_LOCAL, raw)
            + attribute(_IFA_ADDRESS, raw)
        )
        what = f'give link "{name}" the address {address}'
        self._change(_NEWADDR, _CREATE | _REPLACE, body, what)

    def add_route(self, gateway: str, *, via_link: str, destination: str = "") -> None:
        """Add a route by a gateway on a link; the default route unless ``destination`` is given.

        :raises NetlinkError: with EEXIST when there is such a route.
        """
        family = _family(gateway)
        network, _, length = destination.partition("/")
        body = _RTMSG.pack(
            family, int(length or 0), 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, 0, _RTN_UNICAST, 0
        )
        if network:
            body += attribute(_RTA_DST, socket.inet_pton(family, network))
        body += attribute(_RTA_GATEWAY, socket.inet_pton(family, gateway))
        body += number(_RTA_OIF, self.link_index(via_link))
        what = f'add the route to {destination or "everywhere"} by {gateway} on "{via_link}"'
        self._change(_NEWROUTE, _CREATE | _EXCL, body, what)

    def _change(self, kind: int, flags: int, body: bytes, what: str) -> None:
        message = _HEADER.pack(
            _HEADER.size + len(body), kind, _REQUEST | _ACK | flags, self._next(), 0
        )
        if self._batch is not None:
            self._batch.append((message + body, what))
        else:
            self._send([(message + body, what)])

    def _next(self) -> int:
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        return self._sequence

    def _send(self, messages: list[tuple[bytes, str]]) -> None:
        """Send changes in one packet, take every acknowledgement, raise the first failure."""
        waiting = {_HEADER.unpack_from(message)[3]: what for message, what in messages}
        self._socket.sendall(b"".join(message for message, _ in messages))
        failure: NetlinkError | None = None
        while waiting:
            for kind, flags, sequence, body in self._receive():
                what = waiting.pop(sequence, None)
                if kind == _ERROR and what is not None and failure is None:
                    failure = _acknowledged(body, flags, what)
        if failure is not None:
            raise failure

    def _exchange(self, kind: int, flags: int, body: bytes, what: str) -> list[bytes]:
        sequence = self._next()
        header = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, sequence, 0)
        self._socket.sendall(header + body)
        return self._replies(sequence, what, multipart=bool(flags & _DUMP))

    def _dump(self, kind: int, body: bytes) -> list[bytes]:
        return self._exchange(kind, _DUMP, body, "list links, addresses and routes")

    def _replies(self, sequence: int, what: str, *, multipart: bool) -> list[bytes]:
        replies: list[bytes] = []
        ended = False
        while not ended:
            for kind, flags, answered, body in self._receive():
                if answered != sequence:
                    continue
                if kind == _ERROR and (failure := _acknowledged(body, flags, what)):
                    raise failure
                ended = ended or kind in {_DONE, _ERROR} or not multipart
                if kind not in {_DONE, _ERROR}:
                    replies.append(body)
        return replies

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        data = self._socket.recv(_BUFFER_BYTES)
        offset = 0
        while offset + _HEADER.size <= len(data):
            length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
            yield kind, flags, sequence, data[offset + _HEADER.size : offset + length]
            offset += (length + 3) & ~3


def _parse_link(reply: bytes) -> Link:
    _, _, index, flags, _ = _IFINFO.unpack_from(reply)
    attributes = read_attributes(reply[_IFINFO.size :])
    info = read_attributes(attributes.get(_IFLA_LINKINFO, b""))
    (master,) = struct.unpack("=I", attributes.get(_IFLA_MASTER, bytes(4)))
    return Link(
        index=index,
        name=attributes.get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(),
        kind=info.get(_INFO_KIND, b"").rstrip(b"\0").decode(),
        master=master,
        up=bool(flags & _IFF_UP),
        mac=attributes.get(_IFLA_ADDRESS, b"").hex(":"),
    )


def _acknowledged(body: bytes, flags: int, what: str) -> NetlinkError | None:
    """Read an acknowledgement; None when the operation is done (errno 0)."""
    (code,) = struct.unpack_from("=i", body)
    if code == 0:
        return None
    explanation = ""
    if flags & _ACK_TLVS:
        # The header of the request follows the code (NETLINK_CAP_ACK: without its body).
        tlvs = read_attributes(body[4 + _HEADER.size :])
        explanation = tlvs.get(1, b"").rstrip(b"\0").decode(errors="replace")
    return _failure(-code, what, explanation)


def _failure(code: int, what: str, explanation: str) -> NetlinkError:
    reason = os.strerror(code) + (f" ({explanation})" if explanation else "")
    return NetlinkError(code, f"cannot {what}: {reason}")
