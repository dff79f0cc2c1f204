"""One table of nftables, written as the kernel's own messages: for a container's namespace.

What a project's firewall is made of is text for libnftables (nftables.py); its elements are
messages too (nfobjects.py). A start has one table to make that is always the same, and libnftables
costs it a millisecond and every process forked from the launcher its pages. Numbers are those of
linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import os
import socket
import struct

from orchestra.engine.linux.attributes import NESTED, attribute, text
from orchestra.engine.linux.nfmessages import APPEND, CREATE, big, change, transact

_NEWTABLE, _NEWCHAIN, _NEWRULE = 0, 3, 6
_CHAIN_OUTPUT, _PRIORITY_DNAT = 3, -100
_META_PROTOCOL = 16
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_DESTINATION_ADDRESS, _DESTINATION_PORT = (_NETWORK_HEADER, 16, 4), (_TRANSPORT_HEADER, 2, 2)
_FIRST, _SECOND = 1, 2
"""Registers of sixteen bytes each."""
_ACCEPT, _DNAT, _EQUAL = 1, 1, 0
_TABLE, _CHAIN = "orchestra", "output"


def redirect_output(address: str, port: int, *, to_port: int) -> None:
    """Lead what this namespace sends to a port of an IPv4 address to another port of it.

    Makes the table ``ip orchestra`` with a chain of the nat hook "output": udp and tcp.

    :raises OSError: when the kernel refuses, or has no nftables.
    """
    try:
        transact(_redirection(address, port, to_port))
    except OSError as err:
        why = os.strerror(err.errno or 0)
        raise OSError(err.errno, f"cannot lead to the resolver: {why}") from err


def _redirection(address: str, port: int, to_port: int) -> list[bytes]:
    table, chain = text(1, _TABLE), text(1, _TABLE) + text(2, _CHAIN)
    hook = big(1, _CHAIN_OUTPUT) + attribute(2, struct.pack(">i", _PRIORITY_DNAT))
    family = socket.AF_INET
    body = [
        change(_NEWTABLE, CREATE, table + big(2, 0), family),
        change(
            _NEWCHAIN,
            CREATE,
            table
            + text(3, _CHAIN)
            + attribute(4 | NESTED, hook)
            + big(5, _ACCEPT)
            + text(7, "nat"),
            family,
        ),
    ]
    for protocol in (socket.IPPROTO_UDP, socket.IPPROTO_TCP):
        rule = _rule(socket.inet_aton(address), protocol, port, to_port)
        data = chain + attribute(4 | NESTED, rule)
        body.append(change(_NEWRULE, CREATE | APPEND, data, family))
    return body


def _rule(address: bytes, protocol: int, port: int, to_port: int) -> bytes:
    """Return the expressions of "ip daddr A PROTOCOL dport P dnat to A:Q"."""
    return b"".join(
        (
            _payload(*_DESTINATION_ADDRESS),
            _compare(address),
            _expression("meta", big(1, _FIRST) + big(2, _META_PROTOCOL)),
            _compare(bytes([protocol])),
            _payload(*_DESTINATION_PORT),
            _compare(struct.pack(">H", port)),
            _immediate(_FIRST, address),
            _immediate(_SECOND, struct.pack(">H", to_port)),
            _expression(
                "nat",
                big(1, _DNAT) + big(2, socket.AF_INET) + big(3, _FIRST) + big(5, _SECOND),
            ),
        )
    )


def _payload(base: int, offset: int, length: int) -> bytes:
    """Load bytes of a header."""
    place = big(1, _FIRST) + big(2, base) + big(3, offset) + big(4, length)
    return _expression("payload", place)


def _compare(value: bytes) -> bytes:
    """Go on where the register has the value."""
    wanted = attribute(3 | NESTED, attribute(1, value))
    return _expression("cmp", big(1, _FIRST) + big(2, _EQUAL) + wanted)


def _immediate(register: int, value: bytes) -> bytes:
    wanted = attribute(2 | NESTED, attribute(1, value))
    return _expression("immediate", big(1, register) + wanted)


def _expression(name: str, data: bytes) -> bytes:
    return attribute(1 | NESTED, text(1, name) + attribute(2 | NESTED, data))
