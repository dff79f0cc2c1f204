"""Attached up: what is shown of containers, whenever they end."""

from __future__ import annotations

from types import SimpleNamespace

import anyio
import pytest
from support import worlds
from support.fake_target import FakeSupervision, FakeTarget, observed_container

from orchestra.cli.follow import Attachment, _Follower
from orchestra.engine.events import ContainerExited, LogLine
from orchestra.planner.observed import Phase
from orchestra.planner.options import UpOptions

pytestmark = pytest.mark.anyio
EXITED = ContainerExited(container_id="job", name="job", service="job", exit_code=6)


class World:
    """A project of one container, which says "working" and ends with 6."""

    def __init__(self) -> None:
        self.target, self.supervision = FakeTarget(), FakeSupervision()
        self.written = anyio.Event()
        self.phase(Phase.CREATED)
        session = SimpleNamespace(
            options=SimpleNamespace(ansi="never"),
            machine=SimpleNamespace(access=SimpleNamespace(logs=self.logs)),
        )
        controller = SimpleNamespace(
            project="p",
            supervision=self.supervision,
            observe=lambda: self.target.observe("p"),
        )
        desired = worlds.project(worlds.container("job"))
        self.follower = _Follower(session, controller, desired, UpOptions(), Attachment())

    def phase(self, phase: Phase) -> None:
        self.target.containers = (observed_container("job", phase, exit_code=6),)

    async def logs(self, *_arguments: object, **_options: object):
        await self.written.wait()
        yield LogLine(source="job", stream="stdout", text="working\n")

    async def end_unseen(self) -> None:
        """End after the subscription, and before the supervisor looks: no start is told of."""
        await anyio.wait_all_tasks_blocked()
        self.phase(Phase.EXITED)
        await self.supervision.send.send(EXITED)
        await anyio.wait_all_tasks_blocked()


@pytest.fixture
async def world():
    world = World()
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.follower.watch, tasks)
            yield world
            tasks.cancel_scope.cancel()
    world.supervision.close()


async def test_a_life_that_nobody_saw_is_shown(world: World, capsys: pytest.CaptureFixture[str]):
    world.written.set()
    await world.end_unseen()
    said = capsys.readouterr()
    assert "working" in said.out
    assert "job exited with code 6" in said.err


async def test_the_end_waits_for_what_is_being_shown(
    world: World, capsys: pytest.CaptureFixture[str]
):
    await world.end_unseen()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(world.follower.everything_started)
        await anyio.wait_all_tasks_blocked()
        assert not world.follower.over.is_set()
        world.written.set()
    assert world.follower.over.is_set()
    assert "working" in capsys.readouterr().out
