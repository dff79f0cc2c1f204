"""The supervisor's unix socket: events to those who subscribe, and the request to let go.

The socket lies in a 0700 directory with mode 0600; there are no abstract sockets.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import anyio
from anyio.abc import SocketListener, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from orchestra.engine.events import EventBus
from orchestra.engine.linux.directories import make_private
from orchestra.engine.supervisor.protocol import (
    LINE_BYTES_MAX,
    SOCKET_NAME,
    Request,
    encode_event,
)

_BACKLOG = 64


async def listen(directory: Path) -> SocketListener:
    """Bind the socket in ``directory``, in place of one that a dead supervisor left.

    :raises OSError: when the directory refuses.
    """
    make_private(directory)
    (directory / SOCKET_NAME).unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    with _short_name(directory) as path:
        sock.bind(path)
    (directory / SOCKET_NAME).chmod(0o600)
    sock.listen(_BACKLOG)
    sock.settimeout(0)
    return await SocketListener.from_socket(sock)


class _short_name:  # noqa: N801 - used as a function
    """Name the socket through a directory fd: sun_path holds 107 bytes only (unix(7))."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> str:
        self._fd = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        return f"/proc/self/fd/{self._fd}/{SOCKET_NAME}"

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


async def serve(listener: SocketListener, bus: EventBus, release: Callable[[], None]) -> None:
    """Serve clients until cancelled; ``release`` is called when one asks for it."""

    async def handle(stream: SocketStream) -> None:
        async with stream:
            try:
                lines = BufferedByteReceiveStream(stream)
                request = (await lines.receive_until(b"\n", LINE_BYTES_MAX)).decode().strip()
                await _answer(stream, request, bus, release)
            except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.IncompleteRead):
                return
            except (anyio.DelimiterNotFound, UnicodeDecodeError):
                return

    async with listener:
        await listener.serve(handle)


async def _answer(
    stream: SocketStream, request: str, bus: EventBus, release: Callable[[], None]
) -> None:
    if request == Request.RELEASE:
        await stream.send(b"{}\n")
        release()
        return
    if request != Request.SUBSCRIBE:
        await stream.send(b'{"error": "unknown request"}\n')
        return
    with bus.subscribe() as events:
        await stream.send(b"{}\n")
        async for event in events:
            if line := encode_event(event):
                await stream.send(line)
