"""One project's transactions: lock, observe, decide, execute, record.

Knows no target and no supervisor by name: both come in as protocols.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from orchestra.engine.events import EventBus
from orchestra.engine.executor import Executor
from orchestra.engine.gates import GateKeeper
from orchestra.engine.state.lock import project_lock
from orchestra.engine.state.records import Wished
from orchestra.engine.state.store import Store
from orchestra.engine.state.wishes import remember
from orchestra.engine.target import Supervision, Target
from orchestra.errors import ungrouped
from orchestra.planner.desired import DesiredState
from orchestra.planner.observed import LIVE, ObservedState
from orchestra.planner.plan import Plan
from orchestra.planner.steps import StartContainer, Step, StopContainer

LOCK_WAIT_SECONDS = 30.0

Decide = Callable[[ObservedState], Plan[Step]]


class ProjectController:
    """The engine's face for one project."""

    def __init__(
        self,
        project: str,
        *,
        target: Target[Step],
        supervision: Supervision,
        store: Store,
    ) -> None:
        self.project = project
        self.bus = EventBus()
        self._target = target
        self._supervision = supervision
        self._store = store
        self._paths = store.paths
        self._executor: Executor | None = None

    @property
    def supervision(self) -> Supervision:
        """Return who watches over this project."""
        return self._supervision

    async def observe(self, references: Sequence[str] = ()) -> ObservedState:
        """Take a snapshot; needs no lock.

        :raises StateError: when a record is damaged.
        """
        return await self._target.observe(self.project, references)

    def wished(self) -> Wished:
        """Return what was last asked for.

        :raises StateError: when the record is damaged.
        """
        return self._store.wished(self.project)

    def interrupt(self) -> bool:
        """Break off the plan under execution; False when there is none."""
        if self._executor is None:
            return False
        self._executor.interrupt()
        return True

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Hold the project's lock from observing to the last step.

        :raises LockError: when another command keeps it.
        """
        async with project_lock(self._paths, self.project, wait=LOCK_WAIT_SECONDS):
            yield Transaction(self)

    async def execute(self, plan: Plan[Step], observed: ObservedState) -> None:
        """Carry out a plan made of what was observed, the project's lock being held.

        Whatever runs afterwards is watched over, also where nothing was to be done.

        :raises OrchestraError: when a step fails, or nobody can be had to watch over what starts.
        """
        starts = [step for step in plan.steps if isinstance(step, StartContainer)]
        if not starts and _goes_on(plan, observed):
            await self._supervision.ensure()
        if plan.empty:
            return
        keeper = GateKeeper(self.observe, starts)
        supervise = self._supervision.ensure
        self._executor = Executor(plan, self._target, keeper, self.bus, supervise)
        try:
            with ungrouped():
                if any(step.gates for step in plan.steps):
                    await self._with_gates(self._executor, keeper)
                else:
                    await self._executor.run()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._withdraw()
            raise
        finally:
            self._executor = None

    async def _withdraw(self) -> None:
        """Let the supervision go where a plan came to nothing: there is nothing to watch."""
        if not (await self.observe()).containers:
            await self._supervision.release()

    async def _with_gates(self, executor: Executor, keeper: GateKeeper) -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keeper.run)
            tasks.start_soon(self._follow, executor, keeper)
            await executor.run()
            tasks.cancel_scope.cancel()

    async def _follow(self, executor: Executor, keeper: GateKeeper) -> None:
        await executor.supervised.wait()
        await keeper.follow(self._supervision.events())

    def remember(self, state: DesiredState | None) -> None:
        """Write down what is wanted from now on.

        :raises StateError: when it cannot be written.
        """
        remember(self._store, self.project, state)

    async def forget(self) -> None:
        """Remove what is left of a project that is gone; its lock is held by the caller."""
        if (await self.observe()).containers:
            return
        self.remember(None)
        await self._supervision.release()
        if not (await self.observe()).containers:
            import shutil  # noqa: PLC0415 - takes longer than most of what is done here

            for directory in (
                self._paths.project(self.project),
                self._paths.project_run(self.project),
            ):
                shutil.rmtree(Path(directory), ignore_errors=True)


def _goes_on(plan: Plan[Step], observed: ObservedState) -> bool:
    """Tell whether a container runs that the plan does not stop."""
    stopped = {step.container_id for step in plan.steps if isinstance(step, StopContainer)}
    return any(
        container.phase in LIVE and container.id not in stopped
        for container in observed.containers
        if not container.one_off
    )


class Transaction:
    """What may be done while the project's lock is held."""

    def __init__(self, controller: ProjectController) -> None:
        self._controller = controller

    async def run(
        self,
        decide: Decide,
        *,
        references: Sequence[str] = (),
        approve: Callable[[Plan[Step]], bool] | None = None,
        before: Callable[[], None] | None = None,
    ) -> Plan[Step]:
        """Observe, decide, ask, execute; return the plan.

        A plan that ``approve`` refuses is not executed; ``before`` is called when one is about to
        be.

        :raises OrchestraError: when nothing can be decided, or a step fails.
        """
        observed = await self._controller.observe(references)
        plan = decide(observed)
        if approve is None or approve(plan):
            if before is not None and not plan.empty:
                before()
            await self._controller.execute(plan, observed)
        return plan

    def remember(self, state: DesiredState | None) -> None:
        """Write down what is wanted from now on."""
        self._controller.remember(state)

    async def forget(self) -> None:
        """Remove what is left of the project once nothing of it runs."""
        await self._controller.forget()
