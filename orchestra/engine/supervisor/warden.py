"""What the supervisor's loop needs of a machine: the one seam between deciding and doing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from orchestra.engine.state.records import ContainerRecord
from orchestra.planner.health import EffectiveHealth, HealthState, ProbeResult
from orchestra.planner.observed import ObservedContainer


class Warden(Protocol):
    """One project's containers, as the supervisor sees and touches them."""

    async def serve(self, started: Callable[[str], None]) -> None:
        """Tell which containers run, now and as they start or end; serve their names and ports.

        Returns when the launcher has died; what it served goes on.
        """
        ...

    def records(self) -> tuple[ContainerRecord, ...]:
        """Return the project's containers."""
        ...

    def record(self, container_id: str) -> ContainerRecord | None:
        """Return one container."""
        ...

    def forget(self, container_id: str) -> None:
        """Keep nothing in memory of a container that has ended, and may be removed."""
        ...

    def observe(self, record: ContainerRecord) -> ObservedContainer:
        """Describe a container as it is now."""
        ...

    async def ended(self, record: ContainerRecord) -> None:
        """Wait until a container has ended."""
        ...

    def lock(self, container_id: str) -> AbstractAsyncContextManager[None]:
        """Hold a container's lock."""
        ...

    async def start(self, record: ContainerRecord) -> None:
        """Start a container whose lock is held, as its record stands.

        :raises EngineError: when it does not start.
        """
        ...

    async def stop(self, record: ContainerRecord) -> None:
        """Stop a container whose lock is held; it stays wanted."""
        ...

    def check(self, record: ContainerRecord) -> EffectiveHealth | None:
        """Return a container's healthcheck, its image's values applied."""
        ...

    async def probe(self, record: ContainerRecord, check: EffectiveHealth) -> ProbeResult:
        """Run one probe."""
        ...

    def read_health(self, record: ContainerRecord) -> HealthState | None:
        """Return the health last written of a container's present or last life, if any was."""
        ...

    def write_health(self, record: ContainerRecord, state: HealthState) -> None:
        """Write a container's health down."""
        ...

    def log(self, message: str) -> None:
        """Write a line to the supervisor's own log."""
        ...
