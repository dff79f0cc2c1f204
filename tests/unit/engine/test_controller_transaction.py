"""A transaction: lock, observe, decide, ask, execute, remember; and the end of a project."""

from pathlib import Path, PurePosixPath

import anyio
import pytest
from support.fake_target import FakeSupervision, FakeTarget, observed_container

from orchestra.engine import controller as module
from orchestra.engine.controller import ProjectController
from orchestra.engine.paths import Paths
from orchestra.engine.state.store import Store
from orchestra.errors import ContainerError, LockError
from orchestra.planner.building import BuildSpec
from orchestra.planner.desired import DesiredState, ImageSpec, VolumeSpec
from orchestra.planner.observed import Phase
from orchestra.planner.plan import Plan
from orchestra.planner.steps import CreateVolume, StartContainer, StopContainer
from orchestra.values import replace

pytestmark = pytest.mark.anyio
NOTHING = Plan.of([])
STATE = DesiredState(
    project="p",
    working_dir="/",
    containers=(),
    networks=(),
    volumes=(),
    images=(),
    services=(),
)


def volume(key="data"):
    return CreateVolume(volume=VolumeSpec(key=key, name=key), reason="test")


def start(service="web"):
    return StartContainer(name=service, service=service, reason="test")


def stop(service="web"):
    return StopContainer(container_id=service, name=service, service=service, reason="test")


class World:
    def __init__(self, root):
        self.paths = Paths(*(PurePosixPath(root / name) for name in ("data", "run", "config.toml")))
        self.store = Store(self.paths)
        self.target = FakeTarget()
        self.supervision = FakeSupervision()
        self.controller = self.another()

    def another(self):
        return ProjectController(
            "p", target=self.target, supervision=self.supervision, store=self.store
        )

    async def run(self, plan, **options):
        with anyio.fail_after(60):
            async with self.controller.transaction() as change:
                return await change.run(lambda _: plan, **options)


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.supervision.close()


async def test_what_is_decided_is_executed(world):
    step = volume()
    assert (await world.run(Plan.of([step]))).steps == (step,)
    assert world.target.ended(step.id)


async def test_a_plan_that_is_refused_changes_nothing(world):
    said = []
    step = volume()
    await world.run(Plan.of([step]), approve=lambda _: False, before=lambda: said.append("before"))
    assert world.target.acts == said == []


async def test_before_is_called_only_when_there_is_something_to_do(world):
    said = []
    await world.run(NOTHING, before=lambda: said.append("nothing"))
    await world.run(Plan.of([volume()]), before=lambda: said.append("something"))
    assert said == ["something"]


async def test_a_plan_without_starts_and_nothing_running_needs_no_supervision(world):
    world.target.containers = (observed_container("web", Phase.EXITED, exit_code=0),)
    await world.run(Plan.of([volume()]))
    await world.run(NOTHING)
    assert world.supervision.calls == []


async def test_an_empty_plan_brings_back_the_supervision_of_what_runs(world):
    world.target.containers = (observed_container("web"),)
    await world.run(NOTHING)
    assert world.supervision.calls == ["ensure"]


async def test_a_plan_that_stops_everything_starts_no_supervision(world):
    world.target.containers = (observed_container("web"),)
    await world.run(Plan.of([stop()]))
    assert world.supervision.calls == []


async def test_what_a_failed_plan_started_for_nothing_is_let_go(world):
    bad = volume()
    world.target.failing = {bad.id}
    with pytest.raises(ContainerError):
        await world.run(Plan.of([bad, start()]))
    world.target.containers = (observed_container("web"),)
    with pytest.raises(ContainerError):
        await world.run(Plan.of([bad, start()]))
    assert world.supervision.calls == ["ensure", "release", "ensure"]


async def test_a_second_transaction_waits_for_the_first(world, monkeypatch):
    monkeypatch.setattr(module, "LOCK_WAIT_SECONDS", 0.0)
    async with world.controller.transaction():
        with pytest.raises(LockError, match="process"):
            async with world.another().transaction():
                pass
    async with world.another().transaction():
        pass


async def test_remember_counts_generations_and_writes_only_changes(world):
    world.controller.remember(STATE)
    world.controller.remember(STATE)
    assert world.controller.wished().generation == 1
    world.controller.remember(None)
    assert (world.controller.wished().generation, world.controller.wished().state) == (2, None)


async def test_forget_leaves_a_project_that_still_has_containers(world):
    world.controller.remember(STATE)
    world.target.containers = (observed_container("web"),)
    await world.controller.forget()
    assert world.controller.wished().state == STATE
    assert world.supervision.calls == []


async def test_forget_takes_away_all_that_is_left(world):
    with anyio.fail_after(60):
        async with world.controller.transaction() as change:
            change.remember(STATE)
            Path(world.paths.project_run("p")).mkdir(parents=True)
            await change.forget()
    assert world.supervision.calls == ["release"]
    assert not Path(world.paths.project("p")).exists()
    assert not Path(world.paths.project_run("p")).exists()


async def test_interrupt_without_a_plan_is_nothing(world):
    world.controller.interrupt()
    await world.run(NOTHING)


async def test_secrets_of_builds_are_not_written_down(world):
    build = BuildSpec(context="/x", dockerfile="Dockerfile", secret_contents={"a": "s3cr3t"})
    image = ImageSpec(reference="x", build=build)
    world.controller.remember(replace(STATE, images=(image,)))
    files = [path for path in Path(world.paths.data).rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"s3cr3t" in path.read_bytes()]
