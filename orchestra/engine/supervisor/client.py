"""The supervisor as others see it: start it through the launcher, subscribe, let it go."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Protocol

import anyio

from orchestra.engine.events import Event, Subscribed
from orchestra.engine.paths import Paths
from orchestra.engine.supervisor.program import program_of
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
            with closing(await self._connect()) as sock:
                with suppress(BrokenPipeError):
                    sock.send(f"{Request.SUBSCRIBE}\n".encode())
                begun = False
                async for line in _lines(sock):
                    event = decode_event(line) if begun else Subscribed()
                    begun = True
                    if event:
                        yield event

    async def release(self) -> None:
        """Ask the supervisor to end, wait for that, then ask the launcher.

        A supervisor still on its way up hears nothing yet: the launcher takes it along.
        """
        sock = self._try_connect()
        if sock is not None:
            with closing(sock), anyio.move_on_after(_ANSWER_SECONDS):
                with suppress(BrokenPipeError):
                    sock.send(f"{Request.RELEASE}\n".encode())
                async for _ in _lines(sock):
                    continue
        if launcher := await self._find():
            await launcher.quit()

    async def _connect(self) -> socket.socket:
        with anyio.move_on_after(_ANSWER_SECONDS):
            while True:
                if sock := self._try_connect():
                    return sock
                await anyio.sleep(_RETRY_SECONDS)
        raise EngineError(
            f'the supervisor of project "{self._project}" does not answer',
            hint=f"see {self._directory / 'supervisor.log'}",
        )

    def _try_connect(self) -> socket.socket | None:
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
        return sock


async def _lines(sock: socket.socket) -> AsyncIterator[bytes]:
    """Yield what comes, line by line, until the other side is gone or says too much at once.

    Not anyio's stream: that of asyncio complains aloud when it is cancelled as something comes.
    """
    rest = b""
    while len(rest) <= LINE_BYTES_MAX:
        await anyio.wait_readable(sock)
        try:
            part = sock.recv(LINE_BYTES_MAX)
        except BlockingIOError:
            continue
        except ConnectionResetError:
            return
        if not part:
            return
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            yield line
