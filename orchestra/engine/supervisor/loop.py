"""Events to decisions: what ended is started again by its policy, what is unhealthy healed.

Knows neither DNS nor port proxies nor processes: all effects are the Warden's. A restart takes
only the container's lock, and reads its record again under it: somebody may have stopped it, or
started it, meanwhile.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import anyio
from anyio.abc import TaskGroup

from orchestra.engine.clock import Clock
from orchestra.engine.events import ContainerExited, ContainerStarted, EventBus
from orchestra.engine.state.records import ContainerRecord, Wanted
from orchestra.engine.supervisor.probes import watch_health
from orchestra.engine.supervisor.warden import Warden
from orchestra.errors import OrchestraError
from orchestra.planner.health import EffectiveHealth
from orchestra.planner.observed import LIVE, Health, ObservedContainer, Phase
from orchestra.planner.restart import Cause, History, Restart, Stay, decide
from orchestra.values import replace

_LAUNCHER_PAUSE_SECONDS = 0.2


class Supervisor:
    """Watches one project until it is released and nothing is left."""

    def __init__(self, warden: Warden, bus: EventBus, clock: Clock) -> None:
        self._warden = warden
        self._bus = bus
        self._clock = clock
        self._watched: set[str] = set()
        self._arrivals: set[str] = set()
        self._backoff: dict[str, timedelta] = {}
        self._healing: set[str] = set()
        self._ends: dict[str, datetime | None] = {}
        self._released = anyio.Event()

    def release(self) -> None:
        """End if no container is left; otherwise go on."""
        if not self._warden.records():
            self._released.set()

    async def run(self) -> None:
        """Watch until released."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._serve, tasks)
            for record in self._warden.records():
                phase = self._warden.observe(record).phase
                if phase in LIVE:
                    self._arrived(record.id, tasks)
                elif phase is not Phase.CREATED and record.wanted is Wanted.RUNNING:
                    tasks.start_soon(self._after_end, record.id)
            await self._released.wait()
            tasks.cancel_scope.cancel()

    async def _serve(self, tasks: TaskGroup) -> None:
        while True:
            await self._warden.serve(lambda container_id: self._arrived(container_id, tasks))
            await anyio.sleep(_LAUNCHER_PAUSE_SECONDS)

    def _arrived(self, container_id: str, tasks: TaskGroup) -> None:
        self._arrivals.add(container_id)
        if container_id not in self._watched:
            self._watched.add(container_id)
            tasks.start_soon(self._watch, container_id)

    async def _watch(self, container_id: str) -> None:
        """Follow a container through its lives, as long as somebody starts it again."""
        while container_id in self._arrivals:
            self._arrivals.discard(container_id)
            async with self._warden.lock(container_id):
                record = self._warden.record(container_id)  # whoever is starting it has ended
            if record is not None and self._ended_unseen(record):
                await self._after_end(container_id)
                record = self._warden.record(container_id)
            while record is not None and self._warden.observe(record).phase in LIVE:
                await self._live(record)
                await self._after_end(container_id)
                record = self._warden.record(container_id)
        self._watched.discard(container_id)
        self._warden.forget(container_id)

    def _ended_unseen(self, record: ContainerRecord) -> bool:
        """Tell whether a life was over before anybody could watch it."""
        phase = self._warden.observe(record).phase
        over = phase not in LIVE and phase is not Phase.CREATED
        return over and self._ends.get(record.id) != record.started_at

    async def _live(self, record: ContainerRecord) -> None:
        spec = record.spec
        self._bus.publish(
            ContainerStarted(container_id=record.id, name=spec.name, service=spec.service)
        )
        async with anyio.create_task_group() as tasks:
            if (check := self._warden.check(record)) is not None:
                tasks.start_soon(self._guard_health, record, check, tasks)
            await self._warden.ended(record)
            tasks.cancel_scope.cancel()

    async def _guard_health(
        self, record: ContainerRecord, check: EffectiveHealth, tasks: TaskGroup
    ) -> None:
        async for _ in watch_health(record, check, self._warden, self._bus, self._clock):
            observed = self._warden.observe(record)
            history = self._history(record, observed)
            verdict = decide(record.spec.restart, history, Cause.UNHEALTHY, self._clock.now())
            self._warden.log(f"{record.spec.name}: {verdict.reason}")
            if isinstance(verdict, Restart):
                tasks.start_soon(self._heal, record.id, verdict, record.started_at)

    async def _heal(self, container_id: str, verdict: Restart, life: datetime | None) -> None:
        """Stop the life that turned unhealthy; its end then leads to the start of the next."""
        async with self._warden.lock(container_id):
            record = self._warden.record(container_id)
            if record is None or record.wanted is Wanted.STOPPED or record.started_at != life:
                return
            self._healing.add(container_id)
            self._backoff[container_id] = verdict.backoff
            with anyio.CancelScope(shield=True):
                await self._warden.stop(record)

    async def _after_end(self, container_id: str) -> None:
        """Tell how a container ended, and start it again if that is decided."""
        healing = container_id in self._healing
        self._healing.discard(container_id)
        while (record := self._warden.record(container_id)) is not None:
            healing = healing or self._was_unhealthy(record)
            observed = self._warden.observe(record)
            if observed.phase in LIVE or observed.phase is Phase.CREATED:
                return
            self._ends[container_id] = record.started_at
            verdict = self._decide(record, observed, healing=healing)
            spec = record.spec
            self._bus.publish(
                ContainerExited(
                    container_id=record.id,
                    name=spec.name,
                    service=spec.service,
                    exit_code=observed.exit_code or 0,
                    will_restart=isinstance(verdict, Restart),
                )
            )
            self._warden.log(f"{spec.name}: {verdict.reason}")
            if isinstance(verdict, Stay):
                return
            self._backoff[container_id] = verdict.backoff
            await self._clock.sleep_until(verdict.at)
            if await self._start_again(record, verdict):
                return

    def _was_unhealthy(self, record: ContainerRecord) -> bool:
        """Tell whether a container was to be healed: perhaps by a supervisor that died at it."""
        state = self._warden.read_health(record)
        return (
            state is not None
            and state.health is Health.UNHEALTHY
            and state.started_at == record.started_at
        )

    def _decide(
        self, record: ContainerRecord, observed: ObservedContainer, *, healing: bool
    ) -> Restart | Stay:
        cause = Cause.LOST if observed.phase is Phase.LOST else Cause.EXITED
        if healing:
            cause = Cause.UNHEALTHY
        history = self._history(record, observed)
        return decide(record.spec.restart, history, cause, self._clock.now())

    def _history(self, record: ContainerRecord, observed: ObservedContainer) -> History:
        return History(
            restarts=record.restarts,
            exit_code=observed.exit_code,
            started_at=record.started_at,
            ended_at=observed.finished_at,
            backoff=self._backoff.get(record.id, timedelta()),
            stopped_by_user=record.wanted is Wanted.STOPPED,
            heal=record.spec.heal,
        )

    async def _start_again(self, ended: ContainerRecord, verdict: Restart) -> bool:
        """Start the next life; False when that failed and is to be decided again."""
        async with self._warden.lock(ended.id):
            record = self._warden.record(ended.id)
            if record is None or record.wanted is Wanted.STOPPED:
                return True
            if record.started_at != ended.started_at:
                return True
            again = replace(record, restarts=record.restarts + 1)
            try:
                await self._warden.start(again)
            except OrchestraError as err:
                self._warden.log(f"{record.spec.name}: {verdict.reason}: {err.message}")
                return False
            return True
