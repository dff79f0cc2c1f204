"""The supervisor as others see it: start it through the launcher, subscribe, let it go."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Protocol

import anyio
from anyio.abc import UNIXSocketStream
from anyio.streams.buffered import BufferedByteReceiveStream

from orchestra.engine.events import Event, Subscribed
from orchestra.engine.paths import Paths
from orchestra.engine.supervisor.protocol import (
    LINE_BYTES_MAX,
    SOCKET_NAME,
    Request,
    decode_event,
)
from orchestra.errors import EngineError

_ANSWER_SECONDS = 20.0
_RETRY_SECONDS = 0.02


class Launcher(Protocol):
    """What is asked of the project's launcher."""

    async def supervise(self, argv: Sequence[str], env: Mapping[str, str]) -> int:
        """Keep a program alive."""
        ...

    async def quit(self) -> None:
        """End once no container is left."""
        ...


def program_of(
    project: str, environment: Mapping[str, str]
) -> tuple[Sequence[str], Mapping[str, str]]:
    """Return the arguments and the environment of a project's supervisor."""
    argv = (sys.executable, "-I", "-m", "orchestra.engine.supervise", project)
    return argv, dict(environment)


class SupervisorClient:
    """Implements :class:`orchestra.engine.target.Supervision` for one project.

    ``ensure`` starts the project's launcher unless it runs, ``find`` only looks for it.
    """

    def __init__(
        self,
        paths: Paths,
        project: str,
        environment: Mapping[str, str],
        *,
        ensure: Callable[[], Awaitable[Launcher]],
        find: Callable[[], Awaitable[Launcher | None]],
    ) -> None:
        self._ensure = ensure
        self._find = find
        self._project = project
        self._program = program_of(project, environment)
        self._directory = Path(paths.project_run(project))

    async def ensure(self) -> None:
        """Have the project's launcher keep a supervisor alive.

        :raises EngineError: when the launcher cannot be started.
        """
        launcher = await self._ensure()
        await launcher.supervise(*self._program)

    async def events(self) -> AsyncIterator[Event]:
        """Tell what the supervisor sees, from now on; see Supervision.events.

        :raises EngineError: when it does not answer for twenty seconds.
        """
        while True:
            stream = await self._connect()
            async with stream:
                lines = BufferedByteReceiveStream(stream)
                try:
                    await stream.send(f"{Request.SUBSCRIBE}\n".encode())
                    await lines.receive_until(b"\n", LINE_BYTES_MAX)
                    yield Subscribed()
                    while True:
                        line = await lines.receive_until(b"\n", LINE_BYTES_MAX)
                        if event := decode_event(line):
                            yield event
                except (anyio.IncompleteRead, anyio.BrokenResourceError):
                    continue

    async def release(self) -> None:
        """Ask the supervisor to end, wait for that, then ask the launcher.

        A supervisor still on its way up hears nothing yet: the launcher takes it along.
        """
        stream = await self._try_connect()
        if stream is not None:
            async with stream:
                with suppress(anyio.BrokenResourceError):
                    await stream.send(f"{Request.RELEASE}\n".encode())
                await _drain(stream)
        if launcher := await self._find():
            await launcher.quit()

    async def _connect(self) -> UNIXSocketStream:
        with anyio.move_on_after(_ANSWER_SECONDS):
            while True:
                if stream := await self._try_connect():
                    return stream
                await anyio.sleep(_RETRY_SECONDS)
        raise EngineError(
            f'the supervisor of project "{self._project}" does not answer',
            hint=f"see {self._directory / 'supervisor.log'}",
        )

    async def _try_connect(self) -> UNIXSocketStream | None:
        try:
            directory = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            sock.settimeout(0)
            sock.connect(f"/proc/self/fd/{directory}/{SOCKET_NAME}")
        except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
            sock.close()
            return None
        finally:
            os.close(directory)
        return await UNIXSocketStream.from_socket(sock)


async def _drain(stream: UNIXSocketStream) -> None:
    """Wait until the other side is gone."""
    with anyio.move_on_after(timedelta(seconds=_ANSWER_SECONDS).total_seconds()):
        try:
            while True:
                await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return
