"""A piece of output on its way to a receiver, and packets of them."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

PACKET_BYTES = 64 * 1024
_HEADER = struct.Struct("=QBI")
_STDERR, _PARTIAL = 1, 2


class Message(NamedTuple):
    """One line without its end, or a piece of a long one; ``partial``: more of the line follows."""

    nanoseconds: int
    text: str
    stderr: bool
    partial: bool


def pack(stream: str, texts: Sequence[str], nanoseconds: int, *, ended: bool) -> list[bytes]:
    """Return messages in packets; ``ended``: the last one is whole although it has no line end.

    A text is at most 48 KiB: 16 KiB of bytes, each of them U+FFFD.
    """
    kind = _STDERR if stream == "stderr" else 0
    packets: list[bytes] = []
    parts: list[bytes] = []
    size = 0
    for number, text in enumerate(texts, 1):
        partial = not text.endswith("\n") and not (ended and number == len(texts))
        data = text.removesuffix("\n").encode("utf-8", "replace")
        if size + _HEADER.size + len(data) > PACKET_BYTES:
            packets.append(b"".join(parts))
            parts, size = [], 0
        parts += [_HEADER.pack(nanoseconds, kind | (_PARTIAL if partial else 0), len(data)), data]
        size += _HEADER.size + len(data)
    return [*packets, b"".join(parts)] if parts else packets


def unpack(packet: bytes) -> Iterator[Message]:
    """Yield the messages of a packet."""
    start = 0
    while start < len(packet):
        nanoseconds, kind, length = _HEADER.unpack_from(packet, start)
        start += _HEADER.size + length
        text = packet[start - length : start].decode("utf-8", "replace")
        yield Message(nanoseconds, text, bool(kind & _STDERR), bool(kind & _PARTIAL))
