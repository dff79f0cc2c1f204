"""Messages of nf_tables (netlink(7), linux/netfilter/nf_tables.h): written, sent, answered.

A namespace's firewall is asked and changed by them without libnftables, whose every command first
reads all that is there.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence

from orchestra.engine.linux.attributes import attribute, read_attributes

CREATE, APPEND = 0x400, 0x800
_NETLINK_NETFILTER = 12
_SUBSYSTEM = 10
_BATCH_BEGIN, _BATCH_END = 16, 17
_NEWGEN, _GETGEN = 15, 16
_REQUEST, _ACK, _ECHO, _DUMP, _DUMP_INTERRUPTED = 0x1, 0x4, 0x8, 0x300, 0x10
_ERROR, _DONE = 2, 3
_HEADER = struct.Struct("=IHHII")
_FAMILY_BYTES = 4
"""struct nfgenmsg: family, version, resource."""
_RECEIVE_BYTES = 65536
_DUMPS_MAX = 8
_PLAIN_SEND_BYTES = 65536
_SO_SNDBUFFORCE = 32


def big(kind: int, value: int) -> bytes:
    """Return an attribute that is a number of 32 bits in network order, as nf_tables wants it."""
    return attribute(kind, struct.pack(">I", value))


def change(kind: int, flags: int, data: bytes, family: int) -> bytes:
    """Return one message of a batch: ``kind`` is an NFT_MSG_*, ``data`` its attributes."""
    return _message(_SUBSYSTEM << 8 | kind, flags, data, family)


def transact(changes: Sequence[bytes], *, generation: int = 0) -> int:
    """Do all changes, of which there is one at least, in this network namespace, or none.

    ``generation``: of what is there; where that has changed since, nothing is done. Returns the
    one that the changes have made, as the kernel tells it; 0 where they have changed nothing.

    :raises OSError: the first refusal; ERESTART at another generation.
    """
    as_of = big(1, generation) if generation else b""
    begin = _message(_BATCH_BEGIN, 0, as_of, socket.AF_UNSPEC, _SUBSYSTEM)
    end = _message(_BATCH_END, 0, b"", socket.AF_UNSPEC, _SUBSYSTEM)
    told = [_flagged(changes[0], _ECHO), *changes[1:]]
    batch = b"".join((begin, *told[:-1], _flagged(told[-1], _ACK), end))
    with _open() as sock:
        if len(batch) > _PLAIN_SEND_BYTES:
            sock.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, 2 * len(batch))
        sock.send(batch)
        return _acknowledge(sock)


def _flagged(message: bytes, flag: int) -> bytes:
    """Let the kernel say that it has come so far (ACK), or to where the batch has led (ECHO).

    Refusals it tells unasked; of a batch it tells if its first change asks for that.
    """
    length, kind, flags, number, port = _HEADER.unpack_from(message)
    return _HEADER.pack(length, kind, flags | flag, number, port) + message[_HEADER.size :]


def generation_now() -> int:
    """Return the generation of what is there: another one after each change, whoever made it.

    :raises OSError: when the kernel has no nf_tables, or refuses.
    """
    request = _message(_SUBSYSTEM << 8 | _GETGEN, 0, b"", socket.AF_UNSPEC)
    with _open() as sock:
        sock.send(request)
        for kind, _, body in _messages(sock.recv(_RECEIVE_BYTES)):
            if kind == _ERROR:
                _raise(body)
            if kind == _SUBSYSTEM << 8 | _NEWGEN:
                return _generation_of(body)
    raise OSError(errno.EIO, "nf_tables does not answer")


def _generation_of(body: bytes) -> int:
    number: int = struct.unpack(">I", read_attributes(body[_FAMILY_BYTES:])[1])[0]
    return number


def dump(kind: int, data: bytes, family: int) -> list[tuple[int, bytes]]:
    """Return what the kernel lists for an NFT_MSG_GET*: the family and attributes of each.

    :raises OSError: when there is nothing to list from, or it changes all the time.
    """
    request = _message(_SUBSYSTEM << 8 | kind, _DUMP, data, family)
    for _ in range(_DUMPS_MAX):
        with _open() as sock:
            sock.send(request)
            found = _listed(sock)
        if found is not None:
            return found
    raise OSError(errno.EAGAIN, "nf_tables changes while it is read")


def _open() -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
    try:
        sock.bind((0, 0))
    except BaseException:
        sock.close()
        raise
    return sock


def _message(kind: int, flags: int, data: bytes, family: int, resource: int = 0) -> bytes:
    body = struct.pack(">BBH", family, 0, resource) + data
    return _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 0, 0) + body


def _listed(sock: socket.socket) -> list[tuple[int, bytes]] | None:
    """Return a whole listing; None when it was changed meanwhile."""
    found: list[tuple[int, bytes]] = []
    interrupted = False
    while True:
        for kind, flags, body in _messages(sock.recv(_RECEIVE_BYTES)):
            interrupted = interrupted or bool(flags & _DUMP_INTERRUPTED)
            if kind == _ERROR:
                _raise(body)
            if kind == _DONE:
                return None if interrupted else found
            found.append((body[0], body[_FAMILY_BYTES:]))


def _messages(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    offset = 0
    while offset + _HEADER.size <= len(data):
        length, kind, flags, _, _ = _HEADER.unpack_from(data, offset)
        yield kind, flags, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def _acknowledge(sock: socket.socket) -> int:
    """Read what the kernel answered before send(2) returned; return the new generation, or 0.

    :raises OSError: the first failure.
    """
    answers: list[bytes] = []
    generation = 0
    while True:
        try:
            data = sock.recv(_RECEIVE_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            break
        for kind, _, body in _messages(data):
            if kind == _ERROR:
                answers.append(body)
            elif kind == _SUBSYSTEM << 8 | _NEWGEN:
                generation = _generation_of(body)
    if not answers:
        raise OSError(errno.EIO, "nf_tables does not answer")
    for body in answers:
        _raise(body)
    return generation


def _raise(body: bytes) -> None:
    """Raise what the kernel refused; an answer with 0 is an acknowledgement."""
    number = -struct.unpack_from("=i", body)[0]
    if number:
        raise OSError(number, os.strerror(number))
