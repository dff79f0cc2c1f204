"""The supervisor's hands on this machine: implements supervisor.warden.Warden for one project.

Serves names and published ports of the running containers on the sockets that the launcher hands
out. What a dead launcher handed out stays in use until its containers end.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from orchestra.engine.container.healthcheck import probe
from orchestra.engine.container.launching import ContainerSockets, LauncherClient
from orchestra.engine.container.lifecycle import Containers
from orchestra.engine.image.store import ImageStore
from orchestra.engine.local.containers import ContainerSteps
from orchestra.engine.local.observe import HEALTH_FILE, Observer
from orchestra.engine.network import proxy
from orchestra.engine.network.bridge import host_nameservers
from orchestra.engine.network.dns import Resolver
from orchestra.engine.network.endpoints import published_endpoint
from orchestra.engine.network.hosts import parse_resolv_conf
from orchestra.engine.network.networks import Networks
from orchestra.engine.state.lock import container_lock
from orchestra.engine.state.records import ContainerRecord, Wanted
from orchestra.engine.state.store import Store, read_record, write_record
from orchestra.errors import ContainerError, StateError, ungrouped
from orchestra.planner.health import EffectiveHealth, HealthState, ProbeResult, effective
from orchestra.planner.observed import ObservedContainer


class LocalWarden:
    """One project's containers on this machine."""

    def __init__(
        self,
        project: str,
        *,
        store: Store,
        observer: Observer,
        containers: Containers,
        steps: ContainerSteps,
        images: ImageStore,
        networks: Networks,
        program: tuple[Sequence[str], Mapping[str, str]],
    ) -> None:
        """``program``: arguments and environment of the supervisor itself."""
        self._project = project
        self._program = program
        self._store = store
        self._observer = observer
        self._containers = containers
        self._steps = steps
        self._images = images
        self._networks = networks
        self._resolver = Resolver(lambda: networks.names(project), _nameservers)
        self._serving: dict[str, anyio.CancelScope] = {}

    async def serve(self, started: Callable[[str], None]) -> None:
        """See Warden.serve."""
        try:
            with ungrouped():
                await self._serve_launcher(started)
        except ContainerError as err:  # it died in the middle of a conversation
            self.log(err.message)

    async def _serve_launcher(self, started: Callable[[str], None]) -> None:
        launcher = await LauncherClient.ensure(self._store.paths, self._project)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._introduce, launcher, started)
            async for sockets in launcher.sockets():
                self._withdraw(sockets.id)
                if not sockets.gone:
                    self._serve_container(sockets, tasks)
                started(sockets.id)
            tasks.cancel_scope.cancel()

    async def _introduce(self, launcher: LauncherClient, started: Callable[[str], None]) -> None:
        """Be kept alive by a launcher; then look for what ended before it could tell us.

        It answers in turn: by now we are subscribed, and every later start or end is told.
        """
        await launcher.supervise(*self._program)
        for record in self.records():
            if record.wanted is Wanted.RUNNING:
                started(record.id)

    def _withdraw(self, container_id: str) -> None:
        if (scope := self._serving.pop(container_id, None)) is not None:
            scope.cancel()

    def _serve_container(self, sockets: ContainerSockets, tasks: TaskGroup) -> None:
        scope = anyio.CancelScope()
        self._serving[sockets.id] = scope
        tasks.start_soon(self._serve_sockets, sockets, scope)

    async def _serve_sockets(self, sockets: ContainerSockets, scope: anyio.CancelScope) -> None:
        record = self.record(sockets.id)
        target = published_endpoint(record.endpoints) if record else None
        with scope:
            async with anyio.create_task_group() as tasks:
                if sockets.dns_udp is not None and sockets.dns_tcp is not None:
                    udp = socket.socket(fileno=sockets.dns_udp)
                    tcp = socket.socket(fileno=sockets.dns_tcp)
                    tasks.start_soon(self._resolver.serve, sockets.id, udp, tcp)
                for listen, fd in zip(sockets.listen, sockets.listeners, strict=True):
                    address = (target.ipv4 if target else None) or ""
                    tasks.start_soon(
                        proxy.serve,
                        listen["protocol"],
                        socket.socket(fileno=fd),
                        (address, listen["container_port"]),
                    )

    def records(self) -> tuple[ContainerRecord, ...]:
        """See Warden.records."""
        return self._store.containers(self._project)

    def record(self, container_id: str) -> ContainerRecord | None:
        """See Warden.record."""
        return self._store.container(self._project, container_id)

    def forget(self, container_id: str) -> None:
        """See Warden.forget."""
        self._store.forget_container(self._project, container_id)

    def observe(self, record: ContainerRecord) -> ObservedContainer:
        """See Warden.observe."""
        return self._observer.container(record)

    async def ended(self, record: ContainerRecord) -> None:
        """See Warden.ended; a container whose shim died is given a new one on the way."""
        await self._containers.wait(record)

    @asynccontextmanager
    async def lock(self, container_id: str) -> AsyncIterator[None]:
        """See Warden.lock."""
        async with container_lock(self._store.paths, self._project, container_id):
            yield

    async def start(self, record: ContainerRecord) -> None:
        """See Warden.start."""
        await self._steps.start_locked(record)

    async def stop(self, record: ContainerRecord) -> None:
        """See Warden.stop."""
        await self._steps.stop_locked(record, wanted=Wanted.RUNNING)

    def check(self, record: ContainerRecord) -> EffectiveHealth | None:
        """See Warden.check."""
        image = self._images.by_id(record.image_id)
        return effective(record.spec.health, image.config.healthcheck if image else None)

    async def probe(self, record: ContainerRecord, check: EffectiveHealth) -> ProbeResult:
        """See Warden.probe."""
        return await probe(self._store.paths, record, check.test, check.timeout)

    def read_health(self, record: ContainerRecord) -> HealthState | None:
        """See Warden.read_health."""
        directory = Path(self._store.paths.container(self._project, record.id))
        try:
            return read_record(directory / HEALTH_FILE, HealthState)
        except StateError:  # not worth more than a probe
            return None

    def write_health(self, record: ContainerRecord, state: HealthState) -> None:
        """See Warden.write_health."""
        directory = Path(self._store.paths.container(self._project, record.id))
        with suppress(FileNotFoundError):
            write_record(directory / HEALTH_FILE, state)

    def log(self, message: str) -> None:
        """See Warden.log."""
        moment = datetime.now(UTC).isoformat(timespec="milliseconds")
        print(f"{moment} {message}", file=sys.stderr, flush=True)  # noqa: T201


def _nameservers() -> tuple[str, ...]:
    return parse_resolv_conf(host_nameservers()).nameservers
