"""What ends is started again by its policy; what is unhealthy is healed; what is stopped stays."""

from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
import pytest
from support.fake_warden import FakeClock, FakeWarden

from orchestra.engine.events import ContainerExited, ContainerStarted, EventBus, HealthChanged
from orchestra.engine.state.records import Wanted
from orchestra.engine.supervisor.loop import Supervisor
from orchestra.planner.desired import RestartMode, RestartPolicy
from orchestra.planner.health import EffectiveHealth
from orchestra.planner.observed import Health, Phase

pytestmark = pytest.mark.anyio
ALWAYS = RestartPolicy(mode=RestartMode.ALWAYS)
TWICE = RestartPolicy(mode=RestartMode.ON_FAILURE, max_retries=2)


class World:
    def __init__(self):
        self.clock = FakeClock()
        self.warden = FakeWarden(self.clock)
        self.bus = EventBus()
        self.supervisor = Supervisor(self.warden, self.bus, self.clock)
        self.events = None

    async def until(self, kind, **fields):
        async for event in self.events:
            if isinstance(event, kind) and all(
                getattr(event, name) == value for name, value in fields.items()
            ):
                return event
        raise AssertionError("the bus was closed")

    @asynccontextmanager
    async def running(self):
        with anyio.fail_after(60), self.bus.subscribe() as self.events:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.supervisor.run)
                await anyio.wait_all_tasks_blocked()
                yield
                tasks.cancel_scope.cancel()


@pytest.fixture
def world():
    world = World()
    yield world
    world.warden.close()


async def test_a_container_with_restart_always_is_started_again_with_back_off(world):
    world.warden.add("web", restart=ALWAYS)
    async with world.running():
        await world.until(ContainerStarted)
        for restarts in (1, 2, 3):
            world.warden.die("web", 3)
            ended = await world.until(ContainerExited)
            assert (ended.exit_code, ended.will_restart) == (3, True)
            await world.until(ContainerStarted)
            assert world.warden.acts[-1] == ("start", "web", restarts)
    milliseconds = [round(pause.total_seconds() * 1000) for pause in world.clock.slept]
    assert milliseconds == [100, 200, 400]


async def test_a_container_without_a_policy_stays_as_it_is(world):
    world.warden.add("job")
    async with world.running():
        await world.until(ContainerStarted)
        world.warden.die("job", 0)
        assert (await world.until(ContainerExited)).will_restart is False
        await anyio.wait_all_tasks_blocked()
        assert world.warden.forgotten == "job"
    assert world.warden.acts == []


async def test_on_failure_gives_up_after_its_limit(world):
    world.warden.add("job", restart=TWICE)
    async with world.running():
        for _ in range(2):
            await world.until(ContainerStarted)
            world.warden.die("job", 1)
            await world.until(ContainerExited, will_restart=True)
        await world.until(ContainerStarted)
        world.warden.die("job", 1)
        await world.until(ContainerExited, will_restart=False)


async def test_a_stop_by_the_user_is_respected_even_while_a_restart_waits(world):
    world.warden.add("web", restart=ALWAYS)
    async with world.running():
        await world.until(ContainerStarted)
        async with world.warden.lock("web"):
            world.warden.die("web", 1)
            await world.until(ContainerExited, will_restart=True)
            await anyio.wait_all_tasks_blocked()
            world.warden.user_stops("web")
        await anyio.wait_all_tasks_blocked()
    assert world.warden.acts == []


async def test_a_start_that_fails_is_tried_again(world):
    world.warden.add("web", restart=ALWAYS)
    world.warden.fail_starts = 2
    async with world.running():
        await world.until(ContainerStarted)
        world.warden.die("web", 1)
        await world.until(ContainerStarted)
    assert [act[0] for act in world.warden.acts] == ["start"] * 3


async def test_what_ended_while_nobody_watched_is_started_again(world):
    world.warden.add("web", restart=ALWAYS, phase=Phase.LOST)
    world.warden.add("left", restart=ALWAYS, phase=Phase.EXITED, code=0, wanted=Wanted.STOPPED)
    world.warden.add("new", restart=ALWAYS, phase=Phase.CREATED)
    async with world.running():
        await anyio.wait_all_tasks_blocked()
    assert world.warden.acts == [("start", "web", 1)]


async def test_an_unhealthy_container_is_healed(world):
    check = EffectiveHealth(test=("CMD", "x"), interval=timedelta(seconds=10), retries=2)
    world.warden.probe_with("db", check, 1, 0, 1, 1)
    world.warden.add("db")
    async with world.running():
        await world.until(HealthChanged, health=Health.HEALTHY)
        await world.until(HealthChanged, health=Health.UNHEALTHY)
        assert (await world.until(ContainerExited)).will_restart is True
        await world.until(ContainerStarted)
        world.warden.probes["db"][0].send_nowait(0)
        await world.until(HealthChanged, health=Health.HEALTHY)
    assert world.warden.acts == [("stop", "db"), ("start", "db", 1)]


async def test_healing_can_be_turned_off(world):
    world.warden.probe_with("db", EffectiveHealth(test=("CMD", "x"), retries=1), 0, 1)
    world.warden.add("db", heal=False)
    async with world.running():
        await world.until(HealthChanged, health=Health.UNHEALTHY)
        await anyio.wait_all_tasks_blocked()
    assert world.warden.acts == []


async def test_it_ends_when_released_and_nothing_is_left(world):
    world.warden.add("web")
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.supervisor.run)
            await anyio.wait_all_tasks_blocked()
            world.supervisor.release()
            await anyio.wait_all_tasks_blocked()
            assert world.warden.records()
            world.warden.die("web", 0)
            await anyio.wait_all_tasks_blocked()
            world.warden.remove("web")
            world.supervisor.release()


async def test_a_paused_container_is_not_probed(world):
    world.warden.probe_with("db", EffectiveHealth(test=("CMD", "x")), 0)
    world.warden.add("db", phase=Phase.PAUSED)
    world.clock.when_slept(6, lambda: world.warden.set_phase("db", Phase.RUNNING))
    async with world.running():
        await world.until(HealthChanged, health=Health.HEALTHY)
    assert world.clock.slept.count(timedelta(seconds=1)) >= 3


async def test_a_probe_that_a_pause_stopped_does_not_count(world):
    world.warden.probe_with("db", EffectiveHealth(test=("CMD", "x"), retries=1), 0)
    world.warden.add("db")
    async with world.running():
        await world.until(HealthChanged, health=Health.HEALTHY)
        await anyio.wait_all_tasks_blocked()  # the next probe is under way
        world.warden.set_phase("db", Phase.PAUSED)
        world.clock.when_slept(4, lambda: world.warden.set_phase("db", Phase.RUNNING))
        for code in (1, 0):
            world.warden.probes["db"][0].send_nowait(code)
        await anyio.wait_all_tasks_blocked()
        assert world.warden.states["db"].health is Health.HEALTHY
    assert world.warden.probes["db"][1].statistics().current_buffer_used == 0
    assert world.warden.acts == []
