"""Carry out a plan: one task per step, edges, gates, events. Decides nothing.

A step starts when every step it comes after is done and its gates are open; where the plan starts
anything, what changes containers also waits until they are supervised. When one fails, no new step
starts, the running ones end, and the first failure is raised (several as StepErrors).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import anyio

from orchestra.engine.events import (
    EventBus,
    StepDone,
    StepFailed,
    StepStarted,
    StepWaiting,
    Warned,
)
from orchestra.engine.gates import GateKeeper
from orchestra.engine.target import Target
from orchestra.errors import GateError, Interrupted, OrchestraError, StepErrors
from orchestra.planner.plan import Plan
from orchestra.planner.steps import (
    BuildImage,
    PullImage,
    RemoveContainer,
    StartContainer,
    Step,
    StepId,
    StopContainer,
)

_GRACE_SECONDS = 10.0


class Executor:
    """One execution of one plan."""

    def __init__(
        self,
        plan: Plan[Step],
        target: Target[Step],
        gates: GateKeeper,
        bus: EventBus,
        supervise: Callable[[], Awaitable[None]],
    ) -> None:
        """``supervise``: what is to be done before containers start, stop or go."""
        self._plan = plan
        self._supervise = supervise
        self.supervised = anyio.Event()
        """Set when that is done, or when there is no need for it."""
        self._target = target
        self._gates = gates
        self._bus = bus
        self._done: Mapping[StepId, anyio.Event] = {step.id: anyio.Event() for step in plan.steps}
        self._failures: list[OrchestraError] = []
        self._interrupted = False
        self._breakable: set[anyio.CancelScope] = set()
        self._lasting: set[anyio.CancelScope] = set()

    async def run(self) -> None:
        """Carry out every step.

        :raises Interrupted: when :meth:`interrupt` was called.
        :raises OrchestraError: the failure, or StepErrors when several steps failed; that of
            ``supervise``, too.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._have_it_supervised)
            for step in self._plan.steps:
                tasks.start_soon(self._run_step, step)
        if len(self._failures) == 1:
            raise self._failures[0]
        if self._failures:
            raise StepErrors(tuple(self._failures))
        if self._interrupted:
            raise Interrupted("interrupted")

    def interrupt(self) -> None:
        """Start no new step; break off transfers and builds; give the others ten seconds."""
        self._interrupted = True
        self._halt()
        for scope in self._lasting:
            scope.deadline = min(scope.deadline, anyio.current_time() + _GRACE_SECONDS)

    def _halt(self) -> None:
        for scope in self._breakable:
            scope.cancel()

    async def _have_it_supervised(self) -> None:
        if not any(isinstance(step, StartContainer) for step in self._plan.steps):
            self.supervised.set()
            return
        with anyio.CancelScope(shield=True) as scope:
            self._lasting.add(scope)
            try:
                await self._supervise()
                self.supervised.set()
            except OrchestraError as err:
                self._failures.append(err)
                self._halt()
            finally:
                self._lasting.discard(scope)

    async def _run_step(self, step: Step) -> None:
        try:
            if not await self._ready(step):
                return
            seconds = await self._apply(step)
        except OrchestraError as err:
            self._failures.append(err)
            self._bus.publish(StepFailed(step=step.id, error=err))
            self._halt()
            return
        if seconds is None:
            return
        if isinstance(step, StartContainer):
            self._gates.started(step.name)
        self._bus.publish(StepDone(step=step.id, seconds=seconds))
        self._done[step.id].set()

    async def _ready(self, step: Step) -> bool:
        """Wait for all that a step waits for; False when the execution halts, or has, meanwhile."""
        if self._failures or self._interrupted:
            return False
        with anyio.CancelScope() as scope:
            self._breakable.add(scope)
            try:
                for before in step.after:
                    await self._done[before].wait()
                if isinstance(step, StartContainer | StopContainer | RemoveContainer):
                    await self.supervised.wait()
                await self._pass_gates(step)
            finally:
                self._breakable.discard(scope)
        return not (scope.cancelled_caught or self._failures or self._interrupted)

    async def _pass_gates(self, step: Step) -> None:
        if not step.gates or self._failures or self._interrupted:
            return
        self._bus.publish(StepWaiting(step=step.id, gates=tuple(map(str, step.gates))))
        for gate in step.gates:
            try:
                await self._gates.wait(gate)
            except GateError as err:
                if gate.required:
                    raise
                self._bus.publish(Warned(message=f"{step.id}: {err.message}; going on without it"))

    async def _apply(self, step: Step) -> float | None:
        """Apply a step and return the seconds it took; None when it was broken off."""
        self._bus.publish(StepStarted(step=step.id, reason=step.reason))
        began = anyio.current_time()
        breakable = isinstance(step, PullImage | BuildImage)
        scopes = self._breakable if breakable else self._lasting
        with anyio.CancelScope(shield=not breakable) as scope:
            scopes.add(scope)
            try:
                await self._target.apply(step, self._bus.publish)
            finally:
                with suppress(KeyError):
                    scopes.remove(scope)
        return None if scope.cancelled_caught else anyio.current_time() - began
