"""``pause`` and ``unpause``: what they share."""

from __future__ import annotations

from collections.abc import Sequence

from orchestra.cli.session import Session, note, select
from orchestra.planner.observed import LIVE


def set_paused(session: Session, services: Sequence[str], *, paused: bool) -> None:
    """Stop the processes of the services' running containers where they are, or let them go on.

    :raises StepErrors: when one is not in the state for it, or does not stop.
    """
    import anyio

    from orchestra.errors import OrchestraError, StepErrors

    failures: list[OrchestraError] = []

    async def one(project: str, container_id: str, name: str) -> None:
        try:
            await session.machine.pause(project, container_id, paused=paused)
        except OrchestraError as err:
            failures.append(err)
        else:
            note(f" Container {name}  {'Paused' if paused else 'Unpaused'}")

    async def main() -> None:
        observed = session.machine.containers(session.project_name)
        async with anyio.create_task_group() as tasks:
            for container in select(session, observed, services):
                if container.phase in LIVE:
                    tasks.start_soon(one, observed.project, container.id, container.name)

    session.run(main)
    if failures:
        raise failures[0] if len(failures) == 1 else StepErrors(tuple(failures))
