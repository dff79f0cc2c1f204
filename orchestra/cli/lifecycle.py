"""One transaction on containers that exist: stop, start, restart, rm."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestra.cli.render.progress import progress
from orchestra.cli.session import Session, select
from orchestra.planner.observed import ObservedState
from orchestra.planner.plan import Plan
from orchestra.planner.steps import Step


def change_project(
    session: Session,
    services: Sequence[str],
    decide: Callable[[ObservedState], Plan[Step]],
) -> Plan[Step]:
    """Observe, decide and execute under the project's lock.

    :raises UsageError: when a named service has no container and is not declared.
    :raises OrchestraError: when a step fails.
    """

    def checked(observed: ObservedState) -> Plan[Step]:
        select(session, observed, services)
        return decide(observed)

    async def main() -> Plan[Step]:
        controller = session.controller()
        async with progress(controller.bus, session.options), controller.transaction() as change:
            return await change.run(checked)

    return session.run(main)
