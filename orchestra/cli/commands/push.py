"""``orchestra push``: push the images of services that are built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from orchestra.cli.declare import Argument, Context, Option
from orchestra.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestra.spec.model.project import Project


def command(
    ctx: Context,
    services: Annotated[list[str] | None, Argument(metavar="[SERVICE]...")] = None,
    ignore_push_failures: Annotated[
        bool, Option("--ignore-push-failures", help="Push what it can and ignores failures")
    ] = False,
    include_deps: Annotated[
        bool, Option("--include-deps", help="Also push images of services declared as dependencies")
    ] = False,
    quiet: Annotated[
        bool, Option("--quiet", "-q", help="Push without printing progress information")
    ] = False,
) -> None:
    """Push, side by side."""
    import anyio

    from orchestra.cli.render.errors import lines_of
    from orchestra.cli.render.transfers import transfers
    from orchestra.cli.session import note
    from orchestra.errors import OrchestraError, StepErrors

    session = Session.of(ctx)
    names = _pushed(session.project(), services or (), include_deps=include_deps)
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
    if failures and not ignore_push_failures:
        raise failures[0] if len(failures) == 1 else StepErrors(tuple(failures))
    for failure in failures:
        for line in lines_of(failure):
            note(line)


def _pushed(project: Project, services: Sequence[str], *, include_deps: bool) -> list[str]:
    """Return the names to push: the image of each service that is built, and its build's tags.

    :raises UsageError: when there is no such service.
    """
    from orchestra.cli.session import note
    from orchestra.errors import UsageError

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
