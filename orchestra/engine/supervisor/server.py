"""The supervisor's unix socket: events to those who subscribe, and the request to let go.

The socket lies in a 0700 directory with mode 0600; there are no abstract sockets.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio.abc import SocketListener, SocketStream, UNIXSocketStream

from orchestra.engine.events import EventBus
from orchestra.engine.linux.directories import make_private
from orchestra.engine.supervisor.protocol import (
    LINE_BYTES_MAX,
    SOCKET_NAME,
    Request,
    encode_event,
)

if TYPE_CHECKING:
    from orchestra.engine.supervisor.runs import Runs

_BACKLOG = 64
_STREAMS = 3


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


async def serve(
    listener: SocketListener,
    bus: EventBus,
    release: Callable[[], None],
    runs: Callable[[], Runs] | None = None,
) -> None:
    """Serve clients until cancelled; ``release`` is called when one asks for it.

    ``runs`` gives who makes one-off containers for commands.
    """

    async def handle(stream: SocketStream) -> None:
        if not isinstance(stream, UNIXSocketStream):
            return
        async with stream:
            try:
                line, descriptors = await _request(stream)
                word, _, text = line.partition(" ")
                if word == Request.RUN and runs is not None:
                    from orchestra.engine.supervisor.runs import converse  # noqa: PLC0415

                    await converse(stream, text, descriptors, runs())
                    return
                for fd in descriptors:
                    os.close(fd)
                await _answer(stream, line, bus, release)
            except (anyio.EndOfStream, anyio.BrokenResourceError, UnicodeDecodeError):
                return

    async with listener:
        await listener.serve(handle)


async def _request(stream: UNIXSocketStream) -> tuple[str, list[int]]:
    """Return a client's line, and the descriptors that came with its beginning.

    :raises anyio.EndOfStream: when it says none.
    """
    line, descriptors = await stream.receive_fds(LINE_BYTES_MAX, _STREAMS)
    try:
        while b"\n" not in line and len(line) < LINE_BYTES_MAX:
            line += await stream.receive(LINE_BYTES_MAX)
        return line.partition(b"\n")[0].decode().strip(), descriptors
    except BaseException:
        for fd in descriptors:
            os.close(fd)
        raise


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
