"""The transaction of ``down``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.render.progress import progress
from orchestra.cli.transact import known_desired, references_of
from orchestra.planner.teardown import plan_down

if TYPE_CHECKING:
    from orchestra.cli.session import Session
    from orchestra.planner.options import DownOptions


async def take_down(session: Session, options: DownOptions) -> None:
    """Stop and remove what the project left on this machine.

    :raises OrchestraError: when a step fails.
    """
    desired = known_desired(session)
    controller = session.controller(desired.project if desired else session.project_name)
    async with progress(controller.bus, session.options), controller.transaction() as change:
        references = references_of(desired) if desired else ()
        await change.run(
            lambda observed: plan_down(observed, options, desired), references=references
        )
        if not options.services:
            await change.forget()
