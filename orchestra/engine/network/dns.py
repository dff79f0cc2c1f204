"""The resolver behind 127.0.0.11 in each container's namespace.

The sockets come from the launcher, which opened them inside; this process answers from wherever it
is. Names of containers are answered from a table, in turns when there are several; anything else
is forwarded, to the servers the container names or the host's, unless all the container's networks
are internal. Nothing here blocks, and a slow server delays only who asked for it.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import ip_address

import anyio
from anyio.abc import TaskGroup

from orchestra.engine.network import wire
from orchestra.engine.network.names import NameTable
from orchestra.engine.network.wire import Kind, Query, Rcode, WireError

TTL_SECONDS = 5
_SERVER_TIMEOUT_SECONDS = 2.0
_ROUNDS = 2
_TCP_IDLE_SECONDS = 10.0
_FORWARDS_MAX = 512
_CONNECTIONS_MAX = 64
_DRAIN = 64
_TABLE_SECONDS = 0.1
_UNKNOWN_SECONDS = 0.002
_LENGTH = struct.Struct("!H")


class Resolver:
    """Answers the queries of one project's containers."""

    def __init__(
        self, names: Callable[[], NameTable], host_nameservers: Callable[[], Sequence[str]]
    ) -> None:
        self._names = names
        self._table = names()
        self._checked_at = -_TABLE_SECONDS
        self._host_nameservers = host_nameservers
        self._turns: dict[str, int] = {}
        self._forwarding = 0

    def _refresh(self, *, age: float) -> None:
        """Take a new table when the one at hand was checked more than ``age`` seconds ago."""
        now = anyio.current_time()
        if now - self._checked_at > age:
            self._checked_at = now
            table = self._names()
            if table is not self._table:
                self._table = table
                self._turns.clear()

    async def serve(self, container_id: str, udp: socket.socket, tcp: socket.socket) -> None:
        """Serve one container on its sockets until cancelled; closes them."""
        udp.settimeout(0)
        tcp.settimeout(0)
        with udp, tcp:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._serve_udp, container_id, udp, tasks)
                tasks.start_soon(self._serve_tcp, container_id, tcp, tasks)

    async def _serve_udp(self, container_id: str, udp: socket.socket, tasks: TaskGroup) -> None:
        while True:
            await anyio.wait_readable(udp)
            for _ in range(_DRAIN):
                try:
                    message, peer = udp.recvfrom(wire.MESSAGE_BYTES_MAX)
                except BlockingIOError:
                    break
                except OSError:
                    continue  # an ICMP error about an earlier reply
                reply = self._answer(container_id, message, udp=True)
                if isinstance(reply, Query):
                    tasks.start_soon(self._forward_udp, container_id, message, reply, udp, peer)
                elif reply:
                    _send(udp, reply, peer)

    async def _forward_udp(
        self,
        container_id: str,
        message: bytes,
        query: Query,
        udp: socket.socket,
        peer: tuple[str, int],
    ) -> None:
        reply = await self._forward(container_id, message, query, tcp=False)
        _send(udp, wire.cut(reply, query, query.size), peer)

    async def _serve_tcp(self, container_id: str, tcp: socket.socket, tasks: TaskGroup) -> None:
        limiter = anyio.CapacityLimiter(_CONNECTIONS_MAX)
        while True:
            await anyio.wait_readable(tcp)
            try:
                connection, _ = tcp.accept()
            except OSError:
                continue
            if limiter.available_tokens < 1:
                connection.close()
                continue
            tasks.start_soon(self._serve_connection, container_id, connection, limiter)

    async def _serve_connection(
        self, container_id: str, connection: socket.socket, limiter: anyio.CapacityLimiter
    ) -> None:
        connection.settimeout(0)
        async with limiter:
            with connection, suppress(OSError, EOFError):
                while True:
                    with anyio.fail_after(_TCP_IDLE_SECONDS):
                        message = await _read_message(connection)
                    reply = self._answer(container_id, message, udp=False)
                    if isinstance(reply, Query):
                        reply = await self._forward(container_id, message, reply, tcp=True)
                    with anyio.fail_after(_TCP_IDLE_SECONDS):
                        await _write_all(connection, _LENGTH.pack(len(reply)) + reply)

    def _answer(self, container_id: str, message: bytes, *, udp: bool) -> bytes | Query:
        """Return the reply, b"" for none, or the query when somebody else has to answer it."""
        try:
            query = wire.read_query(message)
        except WireError as err:
            return b"" if err.number is None else wire.write_error(err.number, err.rcode)
        limit = query.size if udp else wire.MESSAGE_BYTES_MAX
        self._refresh(age=_TABLE_SECONDS)
        reply = self._known(container_id, query, limit)
        if reply is None:
            # Perhaps it has just started.
            self._refresh(age=_UNKNOWN_SECONDS)
            reply = self._known(container_id, query, limit)
        return self._elsewhere(container_id, query) if reply is None else reply

    def _known(self, container_id: str, query: Query, limit: int) -> bytes | None:
        """Return the reply about a container's name or address; None when it is nobody's."""
        if query.kind == Kind.PTR:
            name = self._table.reverse(container_id, query.name)
            if name is None:
                return None
            return wire.write_answer(query, [wire.name_data(name)], ttl=TTL_SECONDS, limit=limit)
        found = self._table.lookup(container_id, query.name)
        if found is None:
            return None
        addresses: tuple[str, ...] = ()
        if query.kind == Kind.A:
            addresses = found.ipv4
        elif query.kind == Kind.AAAA:
            addresses = found.ipv6
        data = [wire.address_data(a) for a in self._in_turn(query.name, addresses)]
        return wire.write_answer(query, data, ttl=TTL_SECONDS, limit=limit)

    def _in_turn(self, name: str, addresses: tuple[str, ...]) -> tuple[str, ...]:
        if len(addresses) < 2:
            return addresses
        turn = self._turns.get(name, 0)
        self._turns[name] = turn + 1
        first = turn % len(addresses)
        return addresses[first:] + addresses[:first]

    def _elsewhere(self, container_id: str, query: Query) -> bytes | Query:
        """Decide about a name that no container has."""
        if self._table.nameservers(container_id) is None:
            return _failed(query, Rcode.NO_NAME)
        if self._forwarding >= _FORWARDS_MAX:
            return _failed(query, Rcode.SERVER)
        return query

    async def _forward(
        self, container_id: str, message: bytes, query: Query, *, tcp: bool
    ) -> bytes:
        """Ask the servers in their order, twice; SERVFAIL when none answers."""
        servers = self._table.nameservers(container_id) or tuple(self._host_nameservers())
        self._forwarding += 1
        try:
            for _ in range(_ROUNDS):
                for server in servers:
                    reply = await _ask(server, message, query, tcp=tcp)
                    if reply:
                        return wire.renumber(reply, query.number)
        finally:
            self._forwarding -= 1
        return _failed(query, Rcode.SERVER)


def _failed(query: Query, rcode: Rcode) -> bytes:
    return wire.write_answer(query, [], rcode=rcode, ttl=0, limit=wire.MESSAGE_BYTES_MAX)


def _send(udp: socket.socket, reply: bytes, peer: tuple[str, int]) -> None:
    """Send a datagram; one that finds no room is lost, as datagrams are."""
    with suppress(OSError):
        udp.sendto(reply, peer)


async def _ask(server: str, message: bytes, query: Query, *, tcp: bool) -> bytes:
    """Ask one server under an id of our own; b"" when it does not answer."""
    number = int.from_bytes(os.urandom(2), "big")
    with anyio.move_on_after(_SERVER_TIMEOUT_SECONDS), suppress(OSError, EOFError, ValueError):
        family = socket.AF_INET6 if ip_address(server).version == 6 else socket.AF_INET
        kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
        with socket.socket(family, kind) as sock:
            sock.settimeout(0)
            outgoing = wire.renumber(message, number)
            ask = _ask_tcp if tcp else _ask_udp
            return await ask(sock, server, outgoing, query, number)
    return b""


async def _ask_udp(
    sock: socket.socket, server: str, outgoing: bytes, query: Query, number: int
) -> bytes:
    sock.connect((server, 53))
    sock.send(outgoing)
    while True:
        await anyio.wait_readable(sock)
        reply = sock.recv(wire.MESSAGE_BYTES_MAX)
        if wire.matches(reply, query, number):
            return reply


async def _ask_tcp(
    sock: socket.socket, server: str, outgoing: bytes, query: Query, number: int
) -> bytes:
    with suppress(BlockingIOError):
        sock.connect((server, 53))
    await _write_all(sock, _LENGTH.pack(len(outgoing)) + outgoing)
    reply = await _read_message(sock)
    return reply if wire.matches(reply, query, number) else b""


async def _read_message(sock: socket.socket) -> bytes:
    """Read one message with its length before it.

    :raises EOFError: when the peer has closed.
    """
    (length,) = _LENGTH.unpack(await _read_exactly(sock, _LENGTH.size))
    return await _read_exactly(sock, length)


async def _read_exactly(sock: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        await anyio.wait_readable(sock)
        try:
            piece = sock.recv(length - len(data))
        except BlockingIOError:
            continue
        if not piece:
            raise EOFError
        data += piece
    return data


async def _write_all(sock: socket.socket, data: bytes) -> None:
    while data:
        await anyio.wait_writable(sock)
        with suppress(BlockingIOError):
            data = data[sock.send(data) :]
