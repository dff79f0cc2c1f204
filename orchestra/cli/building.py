"""Builds outside of a project's plan: checks, and an image of what comes in on stdin."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import TYPE_CHECKING

import anyio

from orchestra.cli.declare import Exit
from orchestra.cli.render.progress import progress
from orchestra.cli.render.terminal import tame
from orchestra.cli.session import Session
from orchestra.engine.events import EventBus, StepDone, StepStarted
from orchestra.errors import UsageError
from orchestra.planner.steps import StepId

if TYPE_CHECKING:
    from orchestra.engine.build.checking import Checked
    from orchestra.planner.building import BuildSpec
    from orchestra.planner.desired import DesiredState

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
