"""Run a container on streams of ours: `run`. The container ends when this process does.

It starts through the project's launcher where one is up; its supervisor then serves names and
ports. Where none is, a private launcher does, and this process serves them itself, so that nothing
stays behind. Writes the start down, decides nothing; records are made and removed by the caller.
"""

from __future__ import annotations

import os
import socket
import termios
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime

import anyio
import anyio.to_thread

from orchestra.engine.container.exec import converse
from orchestra.engine.container.launching import (
    ContainerSockets,
    ExecSession,
    LauncherClient,
    private_launcher,
)
from orchestra.engine.container.places import Places
from orchestra.engine.container.starting import Start, prepare_start
from orchestra.engine.container.streams import Pipes
from orchestra.engine.linux.files import write_all
from orchestra.engine.network import proxy
from orchestra.engine.network.dns import Resolver
from orchestra.engine.network.endpoints import published_endpoint
from orchestra.engine.network.networks import Networks
from orchestra.engine.paths import Paths
from orchestra.engine.state.lock import container_lock
from orchestra.engine.state.records import ContainerRecord, Wanted
from orchestra.engine.state.store import Store
from orchestra.errors import ContainerError, ungrouped
from orchestra.values import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    """Descriptors of ours for a container; ``stdin`` None gives it no input.

    A container with a tty has the terminal that ``stdin`` is, in raw mode meanwhile.
    """

    stdin: int | None = 0
    stdout: int = 1
    stderr: int = 2


class Foreground:
    """Runs created containers of one project to their end."""

    def __init__(self, paths: Paths, store: Store, networks: Networks, project: str) -> None:
        self._paths = paths
        self._store = store
        self._networks = networks
        self._project = project

    async def run(self, container_id: str, streams: Streams) -> int:
        """Start a created container and return its exit code (128+n after signal n).

        Cancelling this kills everything in the container.

        Its post_start hooks run meanwhile; none is left running at its end.

        :raises NetworkError: when a published port is taken.
        :raises ContainerError: when it does not start (StartError has docker's exit code).
        """
        record = self._record(container_id)
        pipes = None if record.spec.tty else Pipes(stdin=streams.stdin is not None)
        try:
            async with self._launcher(record) as launcher, AsyncExitStack() as stack:
                async with container_lock(self._paths, self._project, container_id):
                    record, request = await self.prepare(self._record(container_id))
                    stdio = pipes.given if pipes else None
                    session = await stack.enter_async_context(launcher.run(request, stdio))
                    self._store.write_container(replace(record, started_at=datetime.now(UTC)))
                if not record.spec.post_start:
                    return await _accompany(session, pipes, streams)
                with ungrouped():
                    async with anyio.create_task_group() as tasks:
                        tasks.start_soon(self._run_hooks, record, launcher)
                        code = await _accompany(session, pipes, streams)
                        tasks.cancel_scope.cancel()
                return code
        finally:
            if pipes:
                pipes.close()
            with anyio.CancelScope(shield=True):
                await self._networks.unpublish(record)

    async def _run_hooks(self, record: ContainerRecord, launcher: LauncherClient) -> None:
        """Run the post_start hooks while the container lives; one that fails ends the run.

        They go through the launcher that is at hand, so that none of the project's stays behind.
        """
        from orchestra.engine.container.hooks import run_hooks  # noqa: PLC0415 - seldom asked for

        places = Places.of(self._paths, record)
        try:
            await run_hooks(self._paths, record, "post_start", record.spec.post_start, launcher)
        except ContainerError:
            if places.init() is not None:  # else it has ended before them, as a command may
                raise

    def _record(self, container_id: str) -> ContainerRecord:
        record = self._store.container(self._project, container_id)
        if record is None:
            raise ContainerError(
                f"cannot run container {container_id[:12]}: it is gone", hint="run it again"
            )
        return record

    @asynccontextmanager
    async def _launcher(self, record: ContainerRecord) -> AsyncIterator[LauncherClient]:
        found = await LauncherClient.find(self._paths, self._project)
        if found:
            yield found
            return
        async with private_launcher() as launcher, anyio.create_task_group() as tasks:
            tasks.start_soon(self._serve, launcher, record)
            yield launcher
            tasks.cancel_scope.cancel()

    async def _serve(self, launcher: LauncherClient, record: ContainerRecord) -> None:
        """Answer the container's questions for names, and proxy what its ports get."""
        async with anyio.create_task_group() as tasks:
            async for sockets in launcher.sockets():
                if not sockets.gone:
                    tasks.start_soon(self._serve_sockets, sockets, record)

    async def _serve_sockets(self, sockets: ContainerSockets, record: ContainerRecord) -> None:
        resolver = Resolver(
            lambda: self._networks.names(self._project), self._networks.host_nameservers
        )
        endpoint = published_endpoint(record.endpoints)
        address = (endpoint.ipv4 if endpoint else None) or ""
        async with anyio.create_task_group() as tasks:
            if sockets.dns_udp is not None and sockets.dns_tcp is not None:
                udp, tcp = (socket.socket(fileno=fd) for fd in (sockets.dns_udp, sockets.dns_tcp))
                tasks.start_soon(resolver.serve, sockets.id, udp, tcp)
            for listen, fd in zip(sockets.listen, sockets.listeners, strict=True):
                target = (address, listen["container_port"])
                tasks.start_soon(proxy.serve, listen["protocol"], socket.socket(fileno=fd), target)

    async def prepare(self, record: ContainerRecord) -> tuple[ContainerRecord, str]:
        """Bring its networks up and write the request down; return its path.

        The container's lock is held by the caller.

        :raises EngineError: when a network cannot be had, or something it joins does not run.
        """
        record = replace(record, wanted=Wanted.RUNNING)
        start = await anyio.to_thread.run_sync(self._prepare_settled, record)
        if start is None:
            await self._networks.mend(record)
            start = await anyio.to_thread.run_sync(self._prepare, record)
        return start.record, start.request

    def _prepare_settled(self, record: ContainerRecord) -> Start | None:
        """Write everything down; None where a network is to be mended first."""
        self._store.write_container(record)
        return self._prepare(record) if self._networks.settle(record) else None

    def _prepare(self, record: ContainerRecord) -> Start:
        start = prepare_start(self._paths, self._store, self._networks, record, output="inherit")
        if start.record != record:
            self._store.write_container(start.record)
        return start


async def _accompany(session: ExecSession, pipes: Pipes | None, streams: Streams) -> int:
    if pipes is None:
        _fit(session, streams)
        return await converse(
            session, 0 if streams.stdin is None else streams.stdin, streams.stdout
        )
    targets = {"stdout": streams.stdout, "stderr": streams.stderr}
    ended = await pipes.accompany(
        session, lambda name, data: write_all(targets[name], data), source=streams.stdin
    )
    return ended["code"]


def _fit(session: ExecSession, streams: Streams) -> None:
    """Give the container's terminal the size of ours."""
    try:
        columns, rows = os.get_terminal_size(streams.stdout)
    except OSError:
        return
    if session.terminal is not None:
        termios.tcsetwinsize(session.terminal, (rows, columns))
