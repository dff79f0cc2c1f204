"""Builds outside of a project's plan: what a Dockerfile says of itself, and what images become."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING

from orchestra.cli.declare import Exit
from orchestra.cli.render.terminal import tame
from orchestra.cli.session import Session
from orchestra.errors import UsageError
from orchestra.values import dataclass

if TYPE_CHECKING:
    from orchestra.cli.imaging import Call
    from orchestra.engine.build.checking import Checked
    from orchestra.engine.build.results import Built
    from orchestra.engine.target import Report
    from orchestra.planner.building import BuildSpec
    from orchestra.planner.desired import DesiredState
    from orchestra.planner.exchange import Output
    from orchestra.spec.model.project import Project

STDIN = "-"


async def check_builds(session: Session, desired: DesiredState, services: Collection[str]) -> None:
    """Check the builds of the named services, all when none; exit with 1 when there is something.

    :raises BuildError: when a Dockerfile cannot be built at all.
    """
    clean = True
    for image in desired.images:
        if image.build is None or (services and not {*services} & {*image.services}):
            continue
        clean = _said(await session.machine.builds(desired.project).check(image.build)) and clean
    if not clean:
        raise Exit(1)


def _said(found: Checked) -> bool:
    sys.stdout.write(tame(found.report))
    if found.error is not None:
        raise found.error
    return not found.findings


def check_stdin() -> None:
    """Check that something else than a terminal gives the context of a build.

    :raises UsageError: when stdin is a terminal.
    """
    if sys.stdin.isatty():
        raise UsageError("a Dockerfile or a tarball on stdin is wanted, and that is a terminal")


async def build_stdin(session: Session, spec: BuildSpec, tag: str | None, *, check: bool) -> None:
    """Build a Dockerfile or a tarball from stdin, under a name; or only check it.

    :raises UsageError: when there is no name, or stdin is a terminal.
    :raises BuildError: when it cannot be built.
    """
    import anyio

    from orchestra.cli.render.progress import progress
    from orchestra.engine.events import EventBus, StepDone, StepStarted
    from orchestra.planner.steps import StepId

    check_stdin()
    builds = session.machine.builds("")
    if check:
        if not _said(await builds.check(spec)):
            raise Exit(1)
        return
    if not tag:
        raise UsageError('"build -" needs a name for the image', hint="add --tag NAME")
    bus = EventBus()
    step = StepId(f"build image:{tag}")
    async with progress(bus, session.options):
        begun = anyio.current_time()
        bus.publish(StepStarted(step=step, reason="build asked for"))
        identity = await builds.build(spec, tag, bus.publish)
        bus.publish(StepDone(step=step, seconds=anyio.current_time() - begun))
    if session.options.progress == "quiet":
        sys.stdout.write(f"{identity}\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a build is to leave."""

    names: tuple[str, ...]
    outputs: tuple[Output, ...]
    iidfile: str = ""
    metadata_file: str = ""
    quiet: bool = False

    @property
    def speaks(self) -> bool:
        """Tell whether the image's id is the answer: stdout may be a result's."""
        stored = any(output.stored for output in self.outputs)
        taken = any(output.destination == STDIN for output in self.outputs)
        return not taken and (stored or self.quiet)

    @property
    def plain(self) -> bool:
        """Tell whether the image under its names is all that is wanted, but for its id."""
        from orchestra.planner.exchange import Output

        stored = self.outputs == (Output(kind="docker"),)
        return stored and bool(self.names) and not self.metadata_file

    def check(self) -> None:
        """Check, before anything is built, that everything can go where it is to go.

        :raises UsageError: when something cannot.
        """
        from orchestra.cli.imaging import check_file, check_outputs

        check_outputs(self.outputs, self.names)
        for path in (self.iidfile, self.metadata_file):
            if path:
                check_file(path)


def deliver(session: Session, spec: BuildSpec, wanted: Wanted, parts: Sequence[str] | None) -> None:
    """Build one image, and leave what is wanted; ``parts`` is by what the command is remembered.

    :raises BuildError: when it cannot be built.
    """
    from orchestra.cli.imaging import write_file
    from orchestra.cli.noted_builds import note_image
    from orchestra.cli.settled_builds import settled_image

    if wanted.plain and (known := settled_image(session, spec, wanted.names, quiet=wanted.quiet)):
        note_image(session, parts, spec, wanted.names)
        if wanted.iidfile:
            write_file(wanted.iidfile, known)
        print(known)
        return

    built = _built(session, spec, wanted)
    if wanted.plain:
        note_image(session, parts, spec, wanted.names)
    if wanted.iidfile:
        write_file(wanted.iidfile, built.id)
    if wanted.metadata_file:
        from orchestra.cli.render.builds import metadata_of

        write_file(wanted.metadata_file, metadata_of(built, session.environment))
    if wanted.speaks:
        print(built.id)


def _built(session: Session, spec: BuildSpec, wanted: Wanted) -> Built:
    """Build: without an event loop, as far as that goes."""
    from orchestra.cli.archives import target_of, written_whole
    from orchestra.cli.plain_run import run_plainly
    from orchestra.cli.render.transfers import Told, reports, transfers
    from orchestra.engine.waiting import LoopWantedError

    def opened(place: str) -> AbstractContextManager[int]:
        return written_whole(target_of("" if place == STDIN else place))

    builds = session.machine.builds("")
    told = Told()

    async def work(report: Report) -> Built:
        return await builds.deliver(
            spec, wanted.names, wanted.outputs, report=report, opened=opened
        )

    async def main() -> Built:
        async with transfers(session.options, quiet=wanted.quiet) as report:
            return await work(told.rest(report))

    built = None
    if wanted.plain and session.options.progress != "rawjson":
        with suppress(LoopWantedError), reports(session.options, quiet=wanted.quiet) as report:
            built = run_plainly(lambda: work(told.noting(report)))
    return built or session.run(main)


async def describe(session: Session, spec: BuildSpec, call: Call) -> None:
    """Print what a Dockerfile says of itself; exit with 1 when a check finds something.

    :raises BuildError: when the Dockerfile cannot be read.
    """
    found = await session.machine.builds("").describe(spec, call.name)
    sys.stdout.write(f"{found.json}\n" if call.json else tame(found.text))
    if found.error is not None:
        raise found.error
    if not found.clean:
        raise Exit(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What ``build`` is told about every build of a project."""

    args: Mapping[str, str | None]
    ssh: Mapping[str, str]
    no_cache: bool = False
    pull: bool = False
    push: bool = False
    check: bool = False
    print_file: bool = False
    memory_bytes: int | None = None
    with_dependencies: bool = False
    provenance: str | None = None
    sbom: str | None = None

    def attested(self, spec: BuildSpec) -> BuildSpec:
        """Return a build with the attestations that are asked for.

        :raises BuildError: when they are not known.
        """
        from orchestra.planner.attesting import parse_provenance, parse_sbom
        from orchestra.values import replace

        provenance = parse_provenance(self.provenance or "")
        return replace(spec, provenance=provenance, sbom=parse_sbom(self.sbom or ""))


@dataclass(frozen=True, slots=True)
class Remembered:
    """By what a command line is remembered, and its project where that has not changed."""

    parts: Sequence[str] | None = None
    project: str = ""


def build_project(
    session: Session, services: Sequence[str], asked: Asked, memory: Remembered
) -> None:
    """Build the images of services, all when none are named, and push them if asked to.

    :raises SpecErrors: when the project is wrong.
    :raises StepErrors: when one cannot be built.
    """
    from orchestra.cli.noted_builds import note_project
    from orchestra.cli.settled_builds import images_of, settled_project
    from orchestra.cli.transact import changed_builds, references_of
    from orchestra.planner.options import UpOptions
    from orchestra.spec.reading import Journal

    if services and asked.with_dependencies:
        services = _with_dependencies(session.project(), services)
    if asked.print_file:
        _print_bake(session.project(), services, asked)
        return
    journal: Journal | None = None
    written = session.desired_again(memory.project) if memory.project else None
    if written is None:
        with Journal() as journal:
            written = session.desired(services)
    desired = changed_builds(
        written,
        args=asked.args,
        no_cache=asked.no_cache,
        pull=asked.pull,
        ssh=asked.ssh,
        memory_bytes=asked.memory_bytes,
        provenance=asked.provenance,
        sbom=asked.sbom,
    )

    options = UpOptions(services=tuple(services), build=True, only_build=True)

    async def main() -> None:
        if asked.check:
            await check_builds(session, desired, services)
            return
        from orchestra.cli.render.progress import progress
        from orchestra.planner.reconcile import plan_images

        controller = session.controller(desired.project)
        async with progress(controller.bus, session.options), controller.transaction() as change:
            await change.run(
                lambda observed: plan_images(desired, observed, options),
                references=references_of(desired),
            )

    if asked.check or not settled_project(session, desired, options):
        session.run(main)
    if not asked.check and journal is not None:
        images = images_of(desired, options)
        note_project(session, memory.parts, journal, desired.project, images)
    if asked.push and not asked.check:
        from orchestra.cli.pushing import push_services

        session.on_interrupt(lambda: False)  # no plan is executed any more
        push_services(session, services, quiet=session.options.progress == "quiet")


def _with_dependencies(project: Project, services: Sequence[str]) -> tuple[str, ...]:
    """Return services and all that they depend on, to run or to be built from."""
    todo, found = list(services), set[str]()
    while todo:
        name = todo.pop()
        service = project.all_services.get(name)
        if name in found or service is None:
            continue
        found.add(name)
        todo += service.depends_on
        contexts = service.build.additional_contexts if service.build else {}
        todo += [text.removeprefix("service:") for text in contexts.values()]
    return tuple(sorted(found | {*services}))


def _print_bake(project: Project, services: Sequence[str], asked: Asked) -> None:
    from orchestra.cli.bake import bake_file

    unknown = [name for name in services if name not in project.all_services]
    if unknown:
        raise UsageError(f'no service "{unknown[0]}" in this project')
    text = bake_file(
        project,
        services or project.services,
        args=asked.args,
        no_cache=asked.no_cache,
        pull=asked.pull,
        push=asked.push,
        ssh=asked.ssh,
    )
    sys.stdout.write(f"{text}\n")
