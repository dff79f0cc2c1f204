"""The engine's side of the launcher: spawn it, talk to it.

One connection is one conversation (shim/protocol.py). Nothing here forks: the launcher is reached
by exec, and does all that needs a single thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from orchestra.engine.paths import Paths
from orchestra.engine.shim.protocol import ExecRequest, Exited, Listen


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerSockets:
    """Sockets of one running container, owned by the receiver; ``listeners`` beside ``listen``.

    ``gone``: the container ended, and the receiver closes what it holds of it.
    """

    id: str
    gone: bool = False
    dns_udp: int | None = None
    dns_tcp: int | None = None
    listen: tuple[Listen, ...] = ()
    listeners: tuple[int, ...] = ()


class ExecSession:
    """A process started by ``LauncherClient.exec``; closing it before the end kills the process."""

    pid: int
    terminal: int | None
    """The pty's master, when a tty was asked for; owned by the session."""

    async def wait(self) -> Exited:
        """Wait for the end of the process."""
        raise NotImplementedError

    async def signal(self, number: int) -> None:
        """Send a signal to the process."""
        raise NotImplementedError

    async def resize(self, rows: int, columns: int) -> None:
        """Change the size of its terminal."""
        raise NotImplementedError


class LauncherClient:
    """A launcher that can be reached; cheap to make, holds no connection open."""

    @classmethod
    async def ensure(cls, paths: Paths, project: str) -> LauncherClient:
        """Return the project's launcher; start it when none answers.

        :raises ContainerError: when it cannot be started.
        """
        raise NotImplementedError

    @classmethod
    async def connect(cls, paths: Paths, project: str) -> LauncherClient | None:
        """Return the project's launcher when one answers."""
        raise NotImplementedError

    async def start(self, request_path: str) -> int:
        """Start the container of a ShimRequest; return the host pid of its init.

        :raises ContainerError: when it does not start.
        """
        raise NotImplementedError

    @asynccontextmanager
    async def exec(
        self, request: ExecRequest, stdio: tuple[int, int, int] | None
    ) -> AsyncIterator[ExecSession]:
        """Run a process in a container; ``stdio`` is None when a tty is asked for.

        :raises ContainerError: when it does not start.
        """
        raise NotImplementedError
        yield ExecSession()

    def sockets(self) -> AsyncIterator[ContainerSockets]:
        """Yield sockets of the containers that run, and of those that start, without end.

        Ends when the launcher dies; what it handed out stays open and is the receiver's.
        """
        raise NotImplementedError

    async def supervise(self, argv: Sequence[str], env: Mapping[str, str]) -> int:
        """Have the launcher run a program and start it again whenever it dies; return its pid.

        :raises ContainerError: when it cannot be started.
        """
        raise NotImplementedError

    async def quit(self) -> None:
        """Ask the launcher to end once no container is left."""
        raise NotImplementedError


@asynccontextmanager
async def private_launcher() -> AsyncIterator[LauncherClient]:
    """Run a launcher of one's own that ends with the block, or with this process (builds, run).

    :raises ContainerError: when it cannot be started.
    """
    raise NotImplementedError
    yield LauncherClient()
