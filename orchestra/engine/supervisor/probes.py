"""Run a container's healthcheck on its schedule, write the result down, tell of changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from orchestra.engine.clock import Clock
from orchestra.engine.events import EventBus, HealthChanged
from orchestra.engine.state.records import ContainerRecord
from orchestra.engine.supervisor.warden import Warden
from orchestra.planner.health import EffectiveHealth, HealthState, advance, begin, next_probe
from orchestra.planner.observed import Health, Phase

_PAUSED_INTERVAL = timedelta(seconds=1)
"""How often to look whether a paused container goes on: the kernel does not tell."""


async def watch_health(
    record: ContainerRecord,
    check: EffectiveHealth,
    warden: Warden,
    bus: EventBus,
    clock: Clock,
) -> AsyncIterator[HealthState]:
    """Probe one life of a container; yield each time it turns unhealthy. Never ends by itself.

    What a supervisor before this one knew of the same life goes on to hold.
    """
    state = _resume(record, check, warden)
    if state is None:
        state = begin(check, _born(record, clock))
        warden.write_health(record, state)
    elif state.health is Health.UNHEALTHY:
        yield state
    while True:
        await clock.sleep_until(next_probe(state, clock.now()))
        if _paused(record, warden):
            await clock.sleep_until(clock.now() + _PAUSED_INTERVAL)
            continue
        result = await warden.probe(record, check)
        if _paused(record, warden):  # meanwhile: the probe was stopped with the rest
            continue
        before, state = state.health, advance(state, result, clock.now())
        warden.write_health(record, state)
        if state.health is before:
            continue
        bus.publish(
            HealthChanged(
                container_id=record.id,
                name=record.spec.name,
                service=record.spec.service,
                health=state.health,
            )
        )
        if state.health is Health.UNHEALTHY:
            yield state


def _paused(record: ContainerRecord, warden: Warden) -> bool:
    return warden.observe(record).phase is Phase.PAUSED


def _resume(record: ContainerRecord, check: EffectiveHealth, warden: Warden) -> HealthState | None:
    state = warden.read_health(record)
    same = state is not None and (state.started_at, state.check) == (record.started_at, check)
    return state if same else None


def _born(record: ContainerRecord, clock: Clock) -> datetime:
    return record.started_at or clock.now()
