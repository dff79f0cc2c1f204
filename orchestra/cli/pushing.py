"""Pushing the images of a project's services, for ``push`` and for ``build --push``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestra.cli.session import Session, note
from orchestra.errors import OrchestraError, StepErrors, UsageError

if TYPE_CHECKING:
    from orchestra.spec.model.project import Project


def push_services(
    session: Session,
    services: Sequence[str],
    *,
    quiet: bool,
    include_deps: bool = False,
    ignore_failures: bool = False,
) -> None:
    """Push the images of services that are built, side by side; of all when none are named.

    :raises UsageError: when there is no such service.
    :raises StepErrors: when some cannot be pushed.
    """
    import anyio

    from orchestra.cli.render.errors import lines_of
    from orchestra.cli.render.transfers import transfers

    names = _pushed(session.project(), services, include_deps=include_deps)
    traffic = session.machine.traffic
    failures: list[OrchestraError] = []

    async def main() -> None:
        async with (
            transfers(session.options, quiet=quiet) as report,
            anyio.create_task_group() as group,
        ):

            async def one(reference: str) -> None:
                try:
                    await traffic.push(reference, report)
                except OrchestraError as err:
                    failures.append(err)

            for name in names:
                group.start_soon(one, name)

    session.run(main)
    if failures and not ignore_failures:
        raise failures[0] if len(failures) == 1 else StepErrors(tuple(failures))
    for failure in failures:
        for line in lines_of(failure):
            note(line)


def _pushed(project: Project, services: Sequence[str], *, include_deps: bool) -> list[str]:
    """Return the names to push: the image of each service that is built, and its build's tags.

    :raises UsageError: when there is no such service.
    """
    todo, wanted = list(services or project.services), set[str]()
    while todo:
        name = todo.pop()
        service = project.services.get(name)
        if service is None:
            known = ", ".join(sorted(project.services))
            raise UsageError(f'no service "{name}" in this project', hint=f"services here: {known}")
        if name not in wanted:
            wanted.add(name)
            todo += [each for each in service.depends_on if include_deps]
    names: list[str] = []
    for name in sorted(wanted):
        service = project.services[name]
        if service.build is None or not service.image:
            note(f" {name}  Skipped  # {'no image name' if service.build else 'it is not built'}")
            continue
        names += [service.image, *service.build.tags]
    return list(dict.fromkeys(names))
