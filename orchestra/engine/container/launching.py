"""The engine's side of the launcher: spawn it, talk to it.

One connection is one conversation (shim/protocol.py). Nothing here forks: the launcher is reached
by exec, and does all that needs a single thread.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import anyio
import anyio.to_thread

from orchestra.engine.container.failures import error_of, no_answer, no_launcher
from orchestra.engine.container.spawning import dial_control, dial_path, reap, run_launcher, spawn
from orchestra.engine.paths import Paths
from orchestra.engine.shim import wire
from orchestra.engine.shim.protocol import (
    ExecRequest,
    Exited,
    Failed,
    Listen,
)
from orchestra.errors import ContainerError
from orchestra.values import dataclass

_START_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSockets:
    """Sockets of one running container, owned by the receiver; ``listeners`` beside ``listen``.

    ``gone``: the container ended, and the receiver closes what it holds of it. A second message
    for the same id replaces the first: close what came with that.
    """

    id: str
    gone: bool = False
    dns_udp: int | None = None
    dns_tcp: int | None = None
    listen: tuple[Listen, ...] = ()
    listeners: tuple[int, ...] = ()


class ExecSession:
    """A process started by ``LauncherClient.exec``; closing it before the end kills the process."""

    def __init__(self, connection: Conversation, pid: int, terminal: int | None) -> None:
        self._connection = connection
        self.pid = pid
        self.terminal = terminal
        """The pty's master, when a tty was asked for; owned by the session."""

    async def ended(self) -> Exited | None:
        """Wait for the end of the process; None when nobody can tell."""
        received = await self._connection.receive()
        return None if received is None else cast("Exited", received[0])


class Conversation:
    """One non-blocking connection to a launcher."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(0)
        wire.enlarge(sock)
        self._sock = sock

    async def send(self, message: Mapping[str, object], fds: Sequence[int] = ()) -> None:
        """Send one message; one that the other side no longer reads is dropped."""
        while True:
            try:
                wire.send(self._sock, message, fds)
            except BlockingIOError:
                await anyio.wait_writable(self._sock)
            except (BrokenPipeError, ConnectionResetError):
                return
            else:
                return

    async def receive(self) -> tuple[dict[str, object], list[int]] | None:
        """Receive one message with its descriptors; None when the other side is gone."""
        while True:
            try:
                return wire.receive(self._sock)
            except BlockingIOError:
                await anyio.wait_readable(self._sock)

    async def ask(
        self, message: Mapping[str, object], fds: Sequence[int] = ()
    ) -> tuple[int, list[int]]:
        """Send a request and return the pid and descriptors of its Started.

        :raises PortError: when a port cannot be bound.
        :raises ContainerError: when the answer is Failed, or none comes.
        """
        await self.send(message, fds)
        received = None
        with anyio.move_on_after(_START_SECONDS):
            received = await self.receive()
        if received is None:
            raise no_answer()
        answer, passed = received
        if answer.get("ok") is not True:
            wire.close_all(passed)
            raise error_of(cast("Failed", answer))
        pid = answer.get("pid", 0)
        return (pid if isinstance(pid, int) else 0), passed

    def duplicate(self) -> int:
        """Return another descriptor of it, with which it goes on."""
        return self._sock.dup().detach()

    def close(self) -> None:
        """Hang up."""
        self._sock.close()


class LauncherClient:
    """A launcher that can be reached; cheap to make, holds no connection open."""

    def __init__(
        self, dial: Callable[[], socket.socket], begin: Callable[[], None] | None = None
    ) -> None:
        self._dial = dial
        self._begin = begin

    @classmethod
    def of(cls, paths: Paths, project: str) -> LauncherClient:
        """Return the project's launcher, which a conversation starts when none answers."""
        directory = Path(paths.project_run(project))
        return cls(lambda: dial_path(directory), lambda: spawn(directory))

    @classmethod
    async def ensure(cls, paths: Paths, project: str) -> LauncherClient:
        """Return the project's launcher; start it when none answers.

        :raises ContainerError: when it cannot be started.
        """
        client = await cls.find(paths, project)
        if client:
            return client
        directory = Path(paths.project_run(project))
        await anyio.to_thread.run_sync(spawn, directory)
        client = await cls.find(paths, project)
        if client is None:
            raise no_launcher(project, str(directory))
        return client

    @classmethod
    async def find(cls, paths: Paths, project: str) -> LauncherClient | None:
        """Return the project's launcher when one answers."""
        directory = Path(paths.project_run(project))
        try:
            dial_path(directory).close()
        except OSError:
            return None
        return cls(lambda: dial_path(directory))

    @asynccontextmanager
    async def conversation(self) -> AsyncIterator[Conversation]:
        """Open one conversation, closed with the block.

        :raises ContainerError: when the launcher is gone.
        """
        connection = Conversation(await self._open())
        try:
            yield connection
        finally:
            connection.close()

    async def _open(self) -> socket.socket:
        try:
            try:
                return self._dial()
            except OSError:
                if self._begin is None:
                    raise
            await anyio.to_thread.run_sync(self._begin)
            return self._dial()
        except OSError as err:
            raise ContainerError(
                f"cannot reach the launcher: {err.strerror}", hint="run the command again"
            ) from err

    async def start(self, request_path: str, *, plain: str = "") -> int:
        """Start the container of a ShimRequest; return the host pid of its init.

        ``plain``: its id, where nothing but a log file is to be kept (is_plain): that is faster.

        :raises PortError: when a published port cannot be bound.
        :raises ContainerError: when it does not start.
        """
        message = {"op": "start", "request": request_path}
        return await self._ask_once(message | ({"plain": plain} if plain else {}))

    async def adopt(self, request_path: str) -> int:
        """Give a running container that lost its shim a new one; return the pid of its init.

        One whose init is gone too is cleaned up, and its exit written down.

        :raises ContainerError: when it has a shim, or never ran.
        """
        return await self._ask_once({"op": "adopt", "request": request_path})

    @asynccontextmanager
    async def run(
        self, request_path: str, stdio: tuple[int, int, int] | None
    ) -> AsyncIterator[ExecSession]:
        """Start a container with ``output: inherit`` and stay with it.

        ``stdio`` is None when it has a tty: then the session has the terminal. Leaving the block
        before its end kills everything in it.

        :raises ContainerError: when it does not start.
        """
        message = {"op": "start", "request": request_path}
        async with self._session(message, stdio) as session:
            yield session

    async def hand_over(
        self, request_path: str, stdio: tuple[int, int, int] | None
    ) -> tuple[int, ...]:
        """Start a container as :meth:`run` does, for another process to stay with.

        Returns the conversation, and behind it the terminal where it has a tty: the caller's to
        pass on and to close. Once nobody has the conversation any more, the container is killed.

        :raises ContainerError: when it does not start.
        """
        message = {"op": "start", "request": request_path}
        async with self.conversation() as connection:
            _, passed = await connection.ask(message, stdio or ())
            return (connection.duplicate(), *passed)

    @asynccontextmanager
    async def exec(
        self, request: ExecRequest, stdio: tuple[int, int, int] | None
    ) -> AsyncIterator[ExecSession]:
        """Run a process in a container; ``stdio`` is None when a tty is asked for.

        :raises ContainerError: when it does not start.
        """
        async with self._session(request, stdio) as session:
            yield session

    async def sockets(self) -> AsyncIterator[ContainerSockets]:
        """Yield sockets of the containers that run, and of those that start, without end.

        Ends when the launcher dies; what it handed out stays open and is the receiver's: close it
        then, so that the next launcher can open the like again. Close the generator with aclosing.
        """
        async with self.conversation() as connection:
            await connection.send({"op": "sockets"})
            while received := await connection.receive():
                yield _sockets_of(*received)

    async def supervise(self, argv: Sequence[str], env: Mapping[str, str]) -> int:
        """Have the launcher run a program and start it again whenever it dies; return its pid.

        ``argv[0]`` is a path. A program that exits with 0 is done. With one running already,
        nothing changes.

        :raises ContainerError: when it cannot be started.
        """
        return await self._ask_once({"op": "supervise", "argv": list(argv), "env": dict(env)})

    async def quit(self) -> None:
        """Ask the launcher to end once no container is left.

        :raises ContainerError: when the launcher is gone already.
        """
        await self._ask_once({"op": "quit"})

    async def _ask_once(self, message: Mapping[str, object]) -> int:
        async with self.conversation() as connection:
            pid, passed = await connection.ask(message)
            wire.close_all(passed)
            return pid

    @asynccontextmanager
    async def _session(
        self, message: Mapping[str, object], stdio: tuple[int, int, int] | None
    ) -> AsyncIterator[ExecSession]:
        async with self.conversation() as connection:
            pid, passed = await connection.ask(message, stdio or ())
            try:
                yield ExecSession(connection, pid, passed[0] if passed else None)
            finally:
                wire.close_all(passed)


@asynccontextmanager
async def private_launcher(directory: str = "/") -> AsyncIterator[LauncherClient]:
    """Run a launcher of one's own that ends with the block, or with this process (builds, run).

    :raises ContainerError: when it cannot be started.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            child = run_launcher(
                ["private", directory, str(theirs.fileno())], (theirs.fileno(),), new_session=True
            )
        try:
            yield LauncherClient(lambda: dial_control(ours))
        finally:
            ours.close()
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(reap, child)


def _sockets_of(message: Mapping[str, object], fds: list[int]) -> ContainerSockets:
    if "gone" in message:
        return ContainerSockets(id=str(message["gone"]), gone=True)
    count = 2 if message.get("dns") else 0
    return ContainerSockets(
        id=str(message["id"]),
        dns_udp=fds[0] if count else None,
        dns_tcp=fds[1] if count else None,
        listen=tuple(cast("Sequence[Listen]", message.get("listen", ()))),
        listeners=tuple(fds[count:]),
    )
