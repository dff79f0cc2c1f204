"""Attributes of netlink messages (netlink(7), struct nlattr): written and read, nothing sent."""

from __future__ import annotations

import struct

NESTED = 0x8000
_HEAD = struct.Struct("=HH")


def attribute(kind: int, data: bytes) -> bytes:
    """Return one attribute, padded to four bytes."""
    return _HEAD.pack(len(data) + 4, kind) + data + bytes(-len(data) % 4)


def number(kind: int, value: int) -> bytes:
    """Return an attribute that is a number of 32 bits in this machine's order."""
    return attribute(kind, struct.pack("=I", value))


def text(kind: int, value: str) -> bytes:
    """Return an attribute that is a text."""
    return attribute(kind, value.encode() + b"\0")


def read_attributes(data: bytes) -> dict[int, bytes]:
    """Return attributes by kind, up to the first that is damaged."""
    found: dict[int, bytes] = {}
    offset = 0
    while offset + 4 <= len(data):
        length, kind = _HEAD.unpack_from(data, offset)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found
