"""The transaction of ``up``, and the wait for what it started."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import anyio

from orchestra.cli.render.progress import progress
from orchestra.cli.transact import always_fetched, check_services, references_of
from orchestra.engine.events import Warned
from orchestra.errors import GateError
from orchestra.planner.desired import Condition, DesiredState
from orchestra.planner.observed import Health
from orchestra.planner.options import UpOptions
from orchestra.planner.reconcile import plan_fetches, plan_up
from orchestra.planner.steps import Gate

if TYPE_CHECKING:
    from orchestra.cli.session import Session
    from orchestra.engine.controller import ProjectController
    from orchestra.planner.plan import Plan
    from orchestra.planner.steps import Step


async def bring_up(
    session: Session,
    controller: ProjectController,
    desired: DesiredState,
    options: UpOptions,
    approve: Callable[[Plan[Step]], bool],
    quiet_pull: bool = False,
) -> None:
    """Bring the machine to the desired state: forced images first, then everything else.

    :raises OrchestraError: when a step fails.
    """
    references = references_of(desired)
    check_services(desired, options.services)
    async with (
        progress(controller.bus, session.options, quiet_transfers=quiet_pull),
        controller.transaction() as change,
    ):
        if options.build or options.pull or always_fetched(desired):
            await change.run(
                lambda observed: plan_fetches(desired, observed, options), references=references
            )
        plan = await change.run(
            lambda observed: plan_up(desired, observed, options),
            references=references,
            approve=approve,
            before=lambda: change.remember(desired),
        )
        if plan.empty:
            change.remember(desired)


async def wait_for(
    controller: ProjectController,
    desired: DesiredState,
    options: UpOptions,
    seconds: int | None,
) -> None:
    """Wait until every service runs, is healthy where it has a healthcheck, or exited with 0.

    :raises GateError: when one cannot become that any more, or the time is over.
    """
    observed = await controller.observe()
    chosen = {c.service for c in desired.containers}
    if options.services:
        chosen &= set(options.services)
    checked = {c.service for c in observed.containers if c.health is not Health.NONE}
    gates = [
        Gate(service=s, condition=Condition.HEALTHY if s in checked else Condition.STARTED)
        for s in sorted(chosen)
    ]
    try:
        with anyio.fail_after(seconds):
            await pass_gates(controller, gates)
    except TimeoutError as err:
        raise GateError(
            f"not everything was ready after {seconds} s",
            hint="see `orchestra ps` and `orchestra logs`",
        ) from err


async def pass_gates(controller: ProjectController, gates: Iterable[Gate]) -> None:
    """Wait until every gate is open; one that is not required may stay closed.

    :raises GateError: when one can no longer open.
    """
    from orchestra.engine.gates import GateKeeper

    keeper = GateKeeper(controller.observe, ())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keeper.run)
        tasks.start_soon(keeper.follow, controller.supervision.events())
        for gate in gates:
            try:
                await keeper.wait(gate)
            except GateError as err:
                if gate.required:
                    raise
                controller.bus.publish(Warned(message=f"{err.message}; going on without it"))
        tasks.cancel_scope.cancel()
