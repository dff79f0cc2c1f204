"""The DNS wire format, as much as a resolver for containers needs (RFC 1035, 6891); pure.

Reads one question, writes answers of types A, AAAA and PTR. Everything else of a message is either
passed on as it is or not looked at.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum
from ipaddress import ip_address

from orchestra.values import dataclass

UDP_BYTES = 512
UDP_BYTES_MAX = 1232
"""What leaves no path fragmented (dnsflagday.net/2020)."""
MESSAGE_BYTES_MAX = 65535
_HEADER = struct.Struct("!HHHHHH")
_QUESTION_END = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")
_QR, _OPCODE, _AA, _TC, _RD, _RA = 0x8000, 0x7800, 0x0400, 0x0200, 0x0100, 0x0080
_IN, _ANY_CLASS, _OPT = 1, 255, 41
_NAME_BYTES_MAX = 255


class Kind(IntEnum):
    """Types of records that we answer ourselves."""

    A = 1
    PTR = 12
    AAAA = 28


class Rcode(IntEnum):
    """How a query went (RFC 1035 4.1.1)."""

    OK = 0
    FORMAT = 1
    SERVER = 2
    NO_NAME = 3
    NOT_IMPLEMENTED = 4
    REFUSED = 5


class WireError(ValueError):
    """A message is not a query that can be read; ``id`` and ``rcode`` are for the reply."""

    def __init__(
        self, reason: str, *, number: int | None = None, rcode: Rcode = Rcode.FORMAT
    ) -> None:
        super().__init__(reason)
        self.number = number
        self.rcode = rcode


@dataclass(frozen=True, slots=True)
class Query:
    """One question: ``name`` in lower case without the last dot, ``question`` as it was sent.

    ``size``: how many bytes the asker takes over UDP. ``edns``: whether it spoke EDNS.
    """

    number: int
    flags: int
    name: str
    kind: int
    question: bytes
    size: int
    edns: bool


def read_query(message: bytes) -> Query:
    """Read a query.

    :raises WireError: when it is none; without a number when no reply should be sent at all.
    """
    if len(message) < _HEADER.size:
        raise WireError("too short")
    number, flags, questions, answers, authorities, additional = _HEADER.unpack_from(message)
    if flags & _QR:
        raise WireError("a response")
    if flags & _OPCODE:
        raise WireError("not a query", number=number, rcode=Rcode.NOT_IMPLEMENTED)
    if questions != 1 or answers or authorities:
        raise WireError("not one question", number=number)
    name, offset = _read_name(message, number)
    if offset + 4 > len(message):
        raise WireError("question cut off", number=number)
    kind, class_ = _QUESTION_END.unpack_from(message, offset)
    if class_ not in {_IN, _ANY_CLASS}:
        raise WireError("not of the internet", number=number, rcode=Rcode.NOT_IMPLEMENTED)
    end = offset + 4
    size = _edns_size(message, end) if additional else None
    return Query(
        number=number,
        flags=flags,
        name=name,
        kind=kind,
        question=message[_HEADER.size : end],
        size=UDP_BYTES if size is None else max(UDP_BYTES, min(size, UDP_BYTES_MAX)),
        edns=size is not None,
    )


def _read_name(message: bytes, number: int) -> tuple[str, int]:
    """Read the question's name, which may not be compressed; escape what is no plain label."""
    offset = _HEADER.size
    labels = []
    while True:
        if offset >= len(message):
            raise WireError("name cut off", number=number)
        length = message[offset]
        offset += 1
        if length == 0:
            break
        if length > 63 or offset + length > len(message):
            raise WireError("bad label", number=number)
        labels.append(message[offset : offset + length])
        offset += length
        if offset - _HEADER.size > _NAME_BYTES_MAX:
            raise WireError("name too long", number=number)
    # A dot inside a label would make it look like two: such a name is nobody's.
    text = ".".join(label.replace(b".", b"\\.").decode("latin-1") for label in labels)
    return text.lower(), offset


def _edns_size(message: bytes, offset: int) -> int | None:
    """Return the size that an OPT record right after the question offers."""
    if offset + 11 <= len(message) and message[offset] == 0:
        kind, size = _QUESTION_END.unpack_from(message, offset + 1)
        if kind == _OPT:
            return int(size)
    return None


def write_answer(
    query: Query, answers: Sequence[bytes], *, rcode: Rcode = Rcode.OK, ttl: int, limit: int
) -> bytes:
    """Write the reply to a query; ``answers`` are record data of the question's own type.

    A reply longer than ``limit`` bytes is sent without answers and marked as cut off.
    """
    kind = query.kind
    body = b"".join(
        b"\xc0\x0c" + _RECORD.pack(kind, _IN, ttl, len(data)) + data for data in answers
    )
    additional = b"\0" + _RECORD.pack(_OPT, UDP_BYTES_MAX, 0, 0) if query.edns else b""
    count, flags = len(answers), _QR | _AA | _RA | (query.flags & _RD) | rcode
    if _HEADER.size + len(query.question) + len(body) + len(additional) > limit:
        body, count, flags = b"", 0, flags | _TC
    header = _HEADER.pack(query.number, flags, 1, count, 0, 1 if query.edns else 0)
    return header + query.question + body + additional


def write_error(number: int, rcode: Rcode) -> bytes:
    """Write a reply to a message that could not be read."""
    return _HEADER.pack(number, _QR | _RA | rcode, 0, 0, 0, 0)


def address_data(address: str) -> bytes:
    """Return an address as record data."""
    return ip_address(address).packed


def name_data(name: str) -> bytes:
    """Return a name as record data, uncompressed.

    :raises ValueError: when a label is empty or too long.
    """
    data = b""
    for label in name.split("."):
        raw = label.encode("ascii")
        if not 0 < len(raw) <= 63:
            raise ValueError(f"bad label in {name!r}")
        data += bytes([len(raw)]) + raw
    if len(data) >= _NAME_BYTES_MAX:
        raise ValueError(f"name too long: {name[:40]!r}")
    return data + b"\0"


def matches(reply: bytes, query: Query, number: int) -> bool:
    """Tell whether a server's reply is one to ``query`` as we sent it with id ``number``."""
    if len(reply) < _HEADER.size:
        return False
    answered, flags, questions, *_ = _HEADER.unpack_from(reply)
    if answered != number or not flags & _QR:
        return False
    if questions == 0:
        return bool((flags & 0xF) != Rcode.OK)
    question = reply[_HEADER.size : _HEADER.size + len(query.question)]
    return question.lower() == query.question.lower()


def renumber(message: bytes, number: int) -> bytes:
    """Return a message with another id."""
    return struct.pack("!H", number) + message[2:]


def cut(reply: bytes, query: Query, limit: int) -> bytes:
    """Return a server's reply, or one marked as cut off where it is longer than ``limit``."""
    if len(reply) <= limit:
        return reply
    return write_answer(query, [], ttl=0, limit=0)
