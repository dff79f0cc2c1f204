"""A supervisor that comes after a killed one goes on where that left off."""

from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import anyio
import pytest
from support.fake_warden import FakeClock, FakeWarden

from orchestra.engine.events import ContainerExited, ContainerStarted, EventBus, HealthChanged
from orchestra.engine.supervisor.loop import Supervisor
from orchestra.planner.desired import RestartMode, RestartPolicy
from orchestra.planner.health import EffectiveHealth, begin
from orchestra.planner.observed import Health, Phase

pytestmark = pytest.mark.anyio
CHECK = EffectiveHealth(test=("CMD", "x"), interval=timedelta(seconds=10), retries=3)


@pytest.fixture
def warden():
    warden = FakeWarden(FakeClock())
    yield warden
    warden.close()


@asynccontextmanager
async def supervising(warden):
    bus = EventBus()
    with anyio.fail_after(60), bus.subscribe() as events:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(Supervisor(warden, bus, warden.clock).run)
            yield events
            tasks.cancel_scope.cancel()


async def until(events, kind):
    async for event in events:
        if isinstance(event, kind):
            return event
    raise AssertionError("the bus was closed")


def remember(warden, name, health, *, streak=0, life=None):
    record = warden.record(name)
    state = begin(CHECK, life or record.started_at)
    warden.states[name] = replace(state, health=health, failing_streak=streak)


async def test_what_was_known_of_a_living_containers_health_is_kept(warden):
    warden.probe_with("db", CHECK)
    warden.add("db")
    remember(warden, "db", Health.HEALTHY, streak=2)
    async with supervising(warden):
        await anyio.wait_all_tasks_blocked()
        assert warden.states["db"].health is Health.HEALTHY
        assert warden.states["db"].failing_streak == 2


async def test_failures_before_the_death_count(warden):
    warden.probe_with("db", CHECK, 1)
    warden.add("db")
    remember(warden, "db", Health.HEALTHY, streak=2)
    async with supervising(warden) as events:
        assert (await until(events, HealthChanged)).health is Health.UNHEALTHY


async def test_the_health_of_another_life_or_another_check_says_nothing(warden):
    warden.probe_with("db", CHECK)
    warden.add("db")
    remember(warden, "db", Health.HEALTHY, life=warden.clock.now() - timedelta(hours=1))
    async with supervising(warden):
        await anyio.wait_all_tasks_blocked()
        assert warden.states["db"].health is Health.STARTING


async def test_a_container_found_unhealthy_is_healed(warden):
    warden.probe_with("db", CHECK)
    warden.add("db")
    remember(warden, "db", Health.UNHEALTHY, streak=3)
    async with supervising(warden) as events:
        await until(events, ContainerExited)
        await until(events, ContainerStarted)
    assert warden.acts == [("stop", "db"), ("start", "db", 1)]


async def test_a_healing_cut_short_between_stop_and_start_is_ended(warden):
    warden.add("db", phase=Phase.EXITED, code=137)
    remember(warden, "db", Health.UNHEALTHY, streak=3)
    async with supervising(warden) as events:
        assert (await until(events, ContainerExited)).will_restart is True
        await anyio.wait_all_tasks_blocked()
    assert warden.acts == [("start", "db", 1)]


async def test_an_unhealthy_one_that_is_not_to_be_healed_stays_ended(warden):
    warden.add("db", phase=Phase.EXITED, code=1, heal=False)
    remember(warden, "db", Health.UNHEALTHY, streak=3)
    async with supervising(warden) as events:
        assert (await until(events, ContainerExited)).will_restart is False
    assert warden.acts == []


async def test_restarts_before_the_death_count(warden):
    policy = RestartPolicy(mode=RestartMode.ON_FAILURE, max_retries=2)
    warden.add("job", phase=Phase.EXITED, code=1, restart=policy)
    warden.set_restarts("job", 2)
    async with supervising(warden) as events:
        assert (await until(events, ContainerExited)).will_restart is False
    assert warden.acts == []


async def test_a_life_that_was_over_before_it_was_seen_is_followed_by_the_next(warden):
    policy = RestartPolicy(mode=RestartMode.ALWAYS)
    async with supervising(warden) as events:
        await anyio.wait_all_tasks_blocked()
        warden.add("job", phase=Phase.EXITED, code=1, restart=policy)
        assert (await until(events, ContainerExited)).will_restart is True
        await anyio.wait_all_tasks_blocked()
    assert warden.acts == [("start", "job", 1)]


async def test_an_end_is_told_once(warden):
    async with supervising(warden) as events:
        await anyio.wait_all_tasks_blocked()
        warden.add("job")
        await until(events, ContainerStarted)
        warden.die("job", 1)
        warden.announce("job")
        await until(events, ContainerExited)
        warden.announce("job")
        await anyio.wait_all_tasks_blocked()
        assert events.statistics().current_buffer_used == 0
