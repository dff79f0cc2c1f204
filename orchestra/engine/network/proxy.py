"""Userland proxies of published ports: for what reaches the host's socket instead of the container.

The firewall translates nearly everything before that; here come connections over IPv6, and all of
them where nftables is not to be had.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress

import anyio
from anyio.abc import TaskGroup

_CONNECT_SECONDS = 10.0
_UDP_IDLE_SECONDS = 90.0
_UDP_SESSIONS_MAX = 1024
_CONNECTIONS_MAX = 4096
_CHUNK_BYTES = 1 << 16


async def serve(protocol: str, listener: socket.socket, target: tuple[str, int]) -> None:
    """Pass on what arrives at a listener until cancelled; closes the listener.

    ``target``: the container's address and port. It may start and stop meanwhile.
    """
    listener.settimeout(0)
    with listener:
        async with anyio.create_task_group() as tasks:
            if protocol == "udp":
                await _UdpProxy(listener, target, tasks).run()
            else:
                await _serve_tcp(listener, target, tasks)


async def _serve_tcp(listener: socket.socket, target: tuple[str, int], tasks: TaskGroup) -> None:
    limiter = anyio.CapacityLimiter(_CONNECTIONS_MAX)
    while True:
        await anyio.wait_readable(listener)
        try:
            connection, _ = listener.accept()
        except OSError:
            continue
        if limiter.available_tokens < 1:
            connection.close()
            continue
        tasks.start_soon(_pass_on, connection, target, limiter)


async def _pass_on(
    connection: socket.socket, target: tuple[str, int], limiter: anyio.CapacityLimiter
) -> None:
    """Connect to the container and copy both ways; a refusal is passed on as a reset."""
    connection.settimeout(0)
    async with limiter:
        with connection:
            try:
                upstream = await _connect(target)
            except OSError:
                _reset(connection)
                return
            with upstream:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_copy, connection, upstream)
                    tasks.start_soon(_copy, upstream, connection)


async def _connect(target: tuple[str, int]) -> socket.socket:
    """Open a connection.

    :raises OSError: when it is refused, or not there within ten seconds.
    """
    sock = socket.socket(_family(target), socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        with suppress(BlockingIOError):
            sock.connect(target)
        with anyio.fail_after(_CONNECT_SECONDS):
            await anyio.wait_writable(sock)
        _raise_pending(sock)
    except BaseException:
        sock.close()
        raise
    return sock


def _raise_pending(sock: socket.socket) -> None:
    if code := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
        raise OSError(code, os.strerror(code))


def _family(target: tuple[str, int]) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in target[0] else socket.AF_INET


def _reset(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


async def _copy(source: socket.socket, sink: socket.socket) -> None:
    """Copy until the end, then close the other side's way in, and only that."""
    try:
        while data := await _receive(source):
            await _send(sink, data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        # One side is gone: let the other know, so that its copy ends too.
        for side in (source, sink):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


async def _receive(sock: socket.socket) -> bytes:
    while True:
        try:
            return sock.recv(_CHUNK_BYTES)
        except BlockingIOError:
            await anyio.wait_readable(sock)


async def _send(sock: socket.socket, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[sock.send(view) :]
        except BlockingIOError:
            await anyio.wait_writable(sock)


class _UdpProxy:
    """One socket to the container per client, forgotten after a while of silence."""

    def __init__(self, listener: socket.socket, target: tuple[str, int], tasks: TaskGroup) -> None:
        self._listener = listener
        self._target = target
        self._tasks = tasks
        self._sessions: dict[tuple[str, int], socket.socket] = {}

    async def run(self) -> None:
        while True:
            await anyio.wait_readable(self._listener)
            try:
                data, client = self._listener.recvfrom(_CHUNK_BYTES)
            except OSError:
                continue
            session = self._sessions.get(client) or self._open(client)
            if session is not None:
                with suppress(OSError):
                    session.send(data)

    def _open(self, client: tuple[str, int]) -> socket.socket | None:
        if len(self._sessions) >= _UDP_SESSIONS_MAX:
            return None
        session = socket.socket(_family(self._target), socket.SOCK_DGRAM)
        session.settimeout(0)
        try:
            session.connect(self._target)
        except OSError:
            session.close()
            return None
        self._sessions[client] = session
        self._tasks.start_soon(self._return, client, session)
        return session

    async def _return(self, client: tuple[str, int], session: socket.socket) -> None:
        try:
            with session, suppress(TimeoutError):
                while True:
                    with anyio.fail_after(_UDP_IDLE_SECONDS):
                        await anyio.wait_readable(session)
                    with suppress(OSError):
                        self._listener.sendto(session.recv(_CHUNK_BYTES), client)
        finally:
            del self._sessions[client]
