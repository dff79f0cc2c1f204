"""A project's elements as the kernel keeps them: keys and values of fixed width. Pure."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from orchestra.engine.linux.nfobjects import Member
from orchestra.engine.network.ruleset import Element, kind_of

_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_LINK_BYTES = 16
"""IFNAMSIZ."""


def _link(word: str) -> bytes:
    return word.strip('"').encode().ljust(_LINK_BYTES, b"\0")


_PACKERS: dict[str, Callable[[str], bytes]] = {
    "ifname": _link,
    "ether_addr": lambda word: bytes.fromhex(word.replace(":", "")),
    "ipv4_addr": socket.inet_aton,
    "ipv6_addr": lambda word: socket.inet_pton(socket.AF_INET6, word),
    "inet_proto": lambda word: bytes([_PROTOCOLS[word]]),
    "inet_service": lambda word: struct.pack(">H", int(word)),
}


def member_of(table: str, element: Element) -> Member:
    """Return an element as a member of its set or map.

    :raises ValueError: when it is an interval, or not written as its set's type.
    """
    kind = kind_of(element.container)
    if "interval" in kind:
        raise ValueError(f"{element.container} has intervals")
    keys, _, values = kind.removeprefix("type ").partition(" : ")
    try:
        key = _packed(keys, element.key)
        value = _packed(values, element.value) if element.value else b""
    except (KeyError, OSError, OverflowError, struct.error) as err:
        raise ValueError(f"{element.key} is no {kind}") from err
    return Member(element.family, table, element.container, key, value)


def _packed(kinds: str, words: str) -> bytes:
    """Pack a concatenation: each field is padded to a register of four bytes."""
    pairs = zip(kinds.split(" . "), words.split(" . "), strict=True)
    fields = [_PACKERS[kind](word) for kind, word in pairs]
    return b"".join(field + bytes(-len(field) % 4) for field in fields)
