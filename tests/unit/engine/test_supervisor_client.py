"""The supervisor's socket from both ends: subscribe, come back after its death, release."""

from pathlib import Path, PurePosixPath

import anyio
import pytest

from orchestra.engine.events import ContainerStarted, EventBus, Subscribed
from orchestra.engine.paths import Paths
from orchestra.engine.supervisor import server
from orchestra.engine.supervisor.client import SupervisorClient

pytestmark = pytest.mark.anyio


class Launcher:
    def __init__(self):
        self.calls = []

    async def supervise(self, argv, _env):
        self.calls.append(argv[-1])
        return 1

    async def quit(self):
        self.calls.append("quit")


class World:
    def __init__(self, root):
        paths = Paths(*(PurePosixPath(root / name) for name in ("data", "run", "config.toml")))
        self.directory = Path(paths.project_run("p"))
        self.bus = EventBus()
        self.launcher = Launcher()
        self.released = 0
        self.client = SupervisorClient(paths, "p", {}, ensure=self._find, find=self._find)

    async def _find(self):
        return self.launcher

    async def live(self, scope):
        """Be a supervisor, until ``scope`` is cancelled or it is released."""

        def release():
            self.released += 1
            scope.cancel()

        with scope:
            await server.serve(await server.listen(self.directory), self.bus, release)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


async def test_a_subscription_outlives_the_supervisor(world):
    send, seen = anyio.create_memory_object_stream(10)

    async def follow():
        async for event in world.client.events():
            await send.send(event)

    with anyio.fail_after(60), send, seen:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            for name in ("first", "second"):
                life = anyio.CancelScope()
                tasks.start_soon(world.live, life)
                assert await seen.receive() == Subscribed()
                event = ContainerStarted(container_id=name, name=name, service=name)
                world.bus.publish(event)
                assert await seen.receive() == event
                life.cancel()
            tasks.cancel_scope.cancel()


async def test_release_waits_for_the_end_and_lets_the_launcher_go(world):
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.live, anyio.CancelScope())
            await anyio.wait_all_tasks_blocked()
            await world.client.release()
    assert world.released == 1
    assert world.launcher.calls == ["quit"]


async def test_release_without_a_supervisor_lets_the_launcher_go(world):
    with anyio.fail_after(60):
        await world.client.release()
    assert world.launcher.calls == ["quit"]


async def test_ensure_names_the_project(world):
    await world.client.ensure()
    assert world.launcher.calls == ["p"]
