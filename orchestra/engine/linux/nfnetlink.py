"""One table of nftables, written as the kernel's own messages: for a container's namespace.

What a project's firewall takes is text for libnftables (nftables.py). A start has one table to make
that is always the same, and libnftables costs it a millisecond and every process forked from the
launcher its pages. Numbers are those of linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import os
import socket
import struct

from orchestra.engine.linux.attributes import NESTED, attribute, text

_NETLINK_NETFILTER = 12
_SUBSYSTEM = 10
_BATCH_BEGIN, _BATCH_END = 16, 17
_NEWTABLE, _NEWCHAIN, _NEWRULE = (_SUBSYSTEM << 8 | kind for kind in (0, 3, 6))
_REQUEST, _ACK, _CREATE, _APPEND = 0x1, 0x4, 0x400, 0x800
_ERROR = 2
_HEADER = struct.Struct("=IHHII")
_CHAIN_OUTPUT, _PRIORITY_DNAT = 3, -100
_META_PROTOCOL = 16
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_DESTINATION_ADDRESS, _DESTINATION_PORT = (_NETWORK_HEADER, 16, 4), (_TRANSPORT_HEADER, 2, 2)
_FIRST, _SECOND = 1, 2
"""Registers of sixteen bytes each."""
_ACCEPT, _DNAT, _EQUAL = 1, 1, 0
_TABLE, _CHAIN = "orchestra", "output"
_RECEIVE_BYTES = 16384


def redirect_output(address: str, port: int, *, to_port: int) -> None:
    """Lead what this namespace sends to a port of an IPv4 address to another port of it.

    Makes the table ``ip orchestra`` with a chain of the nat hook "output": udp and tcp.

    :raises OSError: when the kernel refuses, or has no nftables.
    """
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as sock:
        sock.bind((0, 0))
        sock.send(_redirection(address, port, to_port))
        _acknowledge(sock)


def _redirection(address: str, port: int, to_port: int) -> bytes:
    table, chain = text(1, _TABLE), text(1, _TABLE) + text(2, _CHAIN)
    hook = _big(1, _CHAIN_OUTPUT) + attribute(2, struct.pack(">i", _PRIORITY_DNAT))
    body = [
        _message(_BATCH_BEGIN, 0, b"", socket.AF_UNSPEC, _SUBSYSTEM),
        _message(_NEWTABLE, _CREATE | _ACK, table + _big(2, 0)),
        _message(
            _NEWCHAIN,
            _CREATE | _ACK,
            table
            + text(3, _CHAIN)
            + attribute(4 | NESTED, hook)
            + _big(5, _ACCEPT)
            + text(7, "nat"),
        ),
    ]
    for protocol in (socket.IPPROTO_UDP, socket.IPPROTO_TCP):
        rule = _rule(socket.inet_aton(address), protocol, port, to_port)
        flags = _CREATE | _APPEND | _ACK
        body.append(_message(_NEWRULE, flags, chain + attribute(4 | NESTED, rule)))
    body.append(_message(_BATCH_END, 0, b"", socket.AF_UNSPEC, _SUBSYSTEM))
    return b"".join(body)


def _rule(address: bytes, protocol: int, port: int, to_port: int) -> bytes:
    """Return the expressions of "ip daddr A PROTOCOL dport P dnat to A:Q"."""
    return b"".join(
        (
            _payload(*_DESTINATION_ADDRESS),
            _compare(address),
            _expression("meta", _big(1, _FIRST) + _big(2, _META_PROTOCOL)),
            _compare(bytes([protocol])),
            _payload(*_DESTINATION_PORT),
            _compare(struct.pack(">H", port)),
            _immediate(_FIRST, address),
            _immediate(_SECOND, struct.pack(">H", to_port)),
            _expression(
                "nat",
                _big(1, _DNAT) + _big(2, socket.AF_INET) + _big(3, _FIRST) + _big(5, _SECOND),
            ),
        )
    )


def _payload(base: int, offset: int, length: int) -> bytes:
    """Load bytes of a header."""
    place = _big(1, _FIRST) + _big(2, base) + _big(3, offset) + _big(4, length)
    return _expression("payload", place)


def _compare(value: bytes) -> bytes:
    """Go on where the register has the value."""
    wanted = attribute(3 | NESTED, attribute(1, value))
    return _expression("cmp", _big(1, _FIRST) + _big(2, _EQUAL) + wanted)


def _immediate(register: int, value: bytes) -> bytes:
    wanted = attribute(2 | NESTED, attribute(1, value))
    return _expression("immediate", _big(1, register) + wanted)


def _expression(name: str, data: bytes) -> bytes:
    return attribute(1 | NESTED, text(1, name) + attribute(2 | NESTED, data))


def _big(kind: int, value: int) -> bytes:
    """Return an attribute that is a number of 32 bits in network order, as nf_tables wants it."""
    return attribute(kind, struct.pack(">I", value))


def _message(
    kind: int, flags: int, data: bytes, family: int = socket.AF_INET, resource: int = 0
) -> bytes:
    body = struct.pack(">BBH", family, 0, resource) + data
    return _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 0, 0) + body


def _acknowledge(sock: socket.socket) -> None:
    """Read what the kernel answered before send(2) returned.

    :raises OSError: the first failure.
    """
    failure = 0
    while True:
        try:
            data = sock.recv(_RECEIVE_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            break
        offset = 0
        while offset + _HEADER.size <= len(data):
            length, kind, _, _, _ = _HEADER.unpack_from(data, offset)
            if kind == _ERROR:
                failure = failure or -struct.unpack_from("=i", data, offset + _HEADER.size)[0]
            offset += (length + 3) & ~3
    if failure:
        raise OSError(failure, f"cannot lead to the resolver: {os.strerror(failure)}")
