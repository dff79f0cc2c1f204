"""The executor carries a plan out: order, gates, failures, interruption. It decides nothing."""

from contextlib import asynccontextmanager

import anyio
import pytest
from support.fake_target import FakeTarget, observed_container

from orchestra.engine.events import EventBus, StepDone, StepFailed, StepWaiting, Warned
from orchestra.engine.executor import Executor
from orchestra.engine.gates import GateKeeper
from orchestra.errors import ContainerError, GateError, Interrupted, StepErrors
from orchestra.planner.desired import Condition, ImageSpec, VolumeSpec
from orchestra.planner.observed import Health, Phase
from orchestra.planner.plan import Plan
from orchestra.planner.steps import CreateVolume, Gate, PullImage, StartContainer, StopContainer

pytestmark = pytest.mark.anyio
HEALTHY = Gate(service="db", condition=Condition.HEALTHY)


def volume(key, *after):
    spec = VolumeSpec(key=key, name=key)
    return CreateVolume(volume=spec, reason="test", after=tuple(step.id for step in after))


def pull(name):
    return PullImage(image=ImageSpec(reference=name), reason="test")


def start(service, *after, gates=()):
    return StartContainer(
        name=service,
        service=service,
        reason="test",
        after=tuple(step.id for step in after),
        gates=gates,
    )


class Run:
    """One execution beside the test."""

    def __init__(self, *steps):
        self.target = FakeTarget()
        self.bus = EventBus()
        self.keeper = GateKeeper(
            self._observe, [step for step in steps if isinstance(step, StartContainer)]
        )
        self.supervised = anyio.Event()
        self.supervised.set()
        self.unsupervised = None
        self.executor = Executor(
            Plan.of(steps), self.target, self.keeper, self.bus, self._supervise
        )
        self.error = None
        self.over = anyio.Event()
        self.told = []

    async def _supervise(self):
        await self.supervised.wait()
        if self.unsupervised is not None:
            raise self.unsupervised

    async def _observe(self):
        return await self.target.observe("p")

    async def _execute(self):
        try:
            await self.executor.run()
        except (ContainerError, GateError, Interrupted, StepErrors) as err:
            self.error = err
        self.over.set()

    @asynccontextmanager
    async def under_way(self):
        with anyio.fail_after(60), self.bus.subscribe() as events:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.keeper.run)
                tasks.start_soon(self._execute)
                await anyio.wait_all_tasks_blocked()
                yield
                await self.over.wait()
                tasks.cancel_scope.cancel()
            while events.statistics().current_buffer_used:
                self.told.append(events.receive_nowait())

    def kinds(self, kind):
        return [event for event in self.told if isinstance(event, kind)]


async def test_steps_without_edges_run_at_once_and_edges_are_kept():
    a, b = volume("a"), volume("b")
    c = volume("c", a, b)
    run = Run(a, b, c)
    run.target.hold(a.id)
    run.target.hold(b.id)
    async with run.under_way():
        assert run.target.begun(a.id)
        assert run.target.begun(b.id)
        run.target.let_go(a.id)
        await anyio.wait_all_tasks_blocked()
        assert not run.target.begun(c.id), "b is not done"
        run.target.let_go(b.id)
    assert run.target.acts[-2:] == [f"begin {c.id}", f"end {c.id}"]
    assert {event.step for event in run.kinds(StepDone)} == {a.id, b.id, c.id}
    assert run.error is None


async def test_only_starts_wait_for_the_supervision():
    data, web = volume("data"), start("web")
    run = Run(data, web)
    run.supervised = anyio.Event()
    async with run.under_way():
        assert run.target.ended(data.id)
        assert not run.target.begun(web.id)
        run.supervised.set()
    assert run.target.ended(web.id)
    assert run.error is None


async def test_nothing_starts_without_supervision():
    web = start("web")
    old = StopContainer(container_id="1", name="web", service="web", reason="test")
    run = Run(old, web)
    run.unsupervised = ContainerError("no launcher")
    async with run.under_way():
        pass
    assert run.error is run.unsupervised
    assert not run.target.begun(web.id)
    assert not run.target.begun(old.id), "what runs is left alone"


async def test_a_plan_without_starts_asks_for_no_supervision():
    old = StopContainer(container_id="1", name="web", service="web", reason="test")
    run = Run(old)
    run.unsupervised = ContainerError("no launcher")
    async with run.under_way():
        pass
    assert run.target.ended(old.id)
    assert run.error is None


async def test_an_interruption_does_not_wait_for_the_supervision(monkeypatch):
    monkeypatch.setattr("orchestra.engine.executor._GRACE_SECONDS", 0.01)
    web = start("web")
    run = Run(web)
    run.supervised = anyio.Event()
    async with run.under_way():
        run.executor.interrupt()
    assert isinstance(run.error, Interrupted)
    assert not run.target.begun(web.id)


async def test_a_gate_is_waited_for_after_the_edges():
    db = start("db")
    app = start("app", db, gates=(HEALTHY,))
    run = Run(db, app)
    run.target.containers = (observed_container("db", health=Health.STARTING),)
    async with run.under_way():
        assert run.target.ended(db.id)
        assert not run.target.begun(app.id)
        run.target.containers = (observed_container("db", health=Health.HEALTHY),)
        run.keeper.look()
    assert run.target.ended(app.id)
    assert [event.gates for event in run.kinds(StepWaiting)] == [("db:healthy",)]


async def test_a_gate_that_cannot_open_fails_its_step():
    app = start("app", gates=(HEALTHY,))
    run = Run(app)
    run.target.containers = (observed_container("db", Phase.EXITED, exit_code=3),)
    async with run.under_way():
        pass
    assert isinstance(run.error, GateError)
    assert not run.target.begun(app.id)


async def test_a_gate_that_is_not_required_only_warns():
    gate = Gate(service="db", condition=Condition.HEALTHY, required=False)
    app = start("app", gates=(gate,))
    run = Run(app)
    run.target.containers = (observed_container("db", Phase.EXITED, exit_code=3),)
    async with run.under_way():
        pass
    assert run.error is None
    assert run.target.ended(app.id)
    assert len(run.kinds(Warned)) == 1


async def test_after_a_failure_nothing_new_begins_and_what_runs_ends():
    bad, slow = volume("bad"), volume("slow")
    after_bad, after_slow = volume("x", bad), volume("y", slow)
    run = Run(bad, slow, after_bad, after_slow)
    run.target.failing = {bad.id}
    run.target.hold(bad.id)
    run.target.hold(slow.id)
    async with run.under_way():
        run.target.let_go(bad.id)
        await anyio.wait_all_tasks_blocked()
        assert not run.over.is_set(), "the slow one is not broken off"
        run.target.let_go(slow.id)
    assert isinstance(run.error, ContainerError)
    assert run.target.ended(slow.id)
    assert not run.target.begun(after_bad.id)
    assert not run.target.begun(after_slow.id)
    assert [event.step for event in run.kinds(StepFailed)] == [bad.id]


async def test_what_comes_after_a_step_that_fails_at_once_does_not_wait_for_ever():
    bad = volume("bad")
    run = Run(bad, volume("later", bad), start("last", bad, gates=(HEALTHY,)))
    run.target.failing = {bad.id}
    async with run.under_way():
        pass
    assert run.target.acts == [f"begin {bad.id}"]


async def test_a_failure_breaks_off_transfers_and_gates():
    bad, image = volume("bad"), pull("image")
    app = start("app", gates=(HEALTHY,))
    run = Run(bad, image, app)
    run.target.failing = {bad.id}
    run.target.containers = (observed_container("db", health=Health.STARTING),)
    run.target.hold(image.id)
    run.target.hold(bad.id)
    async with run.under_way():
        run.target.let_go(bad.id)
    assert f"break {image.id}" in run.target.acts
    assert not run.target.begun(app.id)
    assert str(run.error) == f"cannot do {bad.id}"


async def test_several_failures_are_all_told_in_their_order():
    a, b = volume("a"), volume("b")
    run = Run(a, b)
    run.target.failing = {a.id, b.id}
    run.target.hold(a.id)
    run.target.hold(b.id)
    async with run.under_way():
        run.target.let_go(b.id)
        await anyio.wait_all_tasks_blocked()
        run.target.let_go(a.id)
    assert isinstance(run.error, StepErrors)
    assert [error.message for error in run.error.errors] == [
        f"cannot do {b.id}",
        f"cannot do {a.id}",
    ]


async def test_an_interruption_breaks_off_transfers_and_lets_the_rest_end():
    image, slow = pull("image"), volume("slow")
    later = volume("later", slow)
    run = Run(image, slow, later)
    run.target.hold(image.id)
    run.target.hold(slow.id)
    async with run.under_way():
        run.executor.interrupt()
        await anyio.wait_all_tasks_blocked()
        assert f"break {image.id}" in run.target.acts
        assert not run.over.is_set(), "the other one has its grace"
        run.target.let_go(slow.id)
    assert isinstance(run.error, Interrupted)
    assert run.target.ended(slow.id)
    assert not run.target.begun(later.id)


async def test_an_interruption_at_a_gate_ends_the_wait():
    app = start("app", gates=(HEALTHY,))
    run = Run(app)
    run.target.containers = (observed_container("db", health=Health.STARTING),)
    async with run.under_way():
        run.executor.interrupt()
    assert isinstance(run.error, Interrupted)
    assert not run.target.begun(app.id)


async def test_a_step_that_does_not_end_after_an_interruption_is_broken_off(monkeypatch):
    monkeypatch.setattr("orchestra.engine.executor._GRACE_SECONDS", 0.01)
    stuck = volume("stuck")
    run = Run(stuck)
    run.target.hold(stuck.id)
    async with run.under_way():
        run.executor.interrupt()
    assert isinstance(run.error, Interrupted)
    assert f"break {stuck.id}" in run.target.acts


async def test_a_cancelled_execution_does_not_tear_a_step_apart():
    slow = volume("slow")
    run = Run(slow)
    run.target.hold(slow.id)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run.executor.run)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True):
                await anyio.wait_all_tasks_blocked()
                assert f"break {slow.id}" not in run.target.acts
                run.target.let_go(slow.id)
    assert run.target.ended(slow.id)
