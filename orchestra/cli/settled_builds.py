"""Builds of which nothing has changed, told as done before anything that builds is imported."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from orchestra.engine.events import LogLine, Progress, StepDone, StepStarted
from orchestra.planner.steps import StepId

if TYPE_CHECKING:
    from orchestra.cli.session import Session
    from orchestra.engine.build.settled import Settled
    from orchestra.engine.target import Report
    from orchestra.planner.building import BuildSpec
    from orchestra.planner.desired import DesiredState
    from orchestra.planner.options import UpOptions


def settled_image(
    session: Session, spec: BuildSpec, names: tuple[str, ...], *, quiet: bool
) -> str | None:
    """Report a build outside of projects, and return its image's id; None when it is to be done."""
    from orchestra.cli.render.transfers import reports

    found = session.machine.settled_images("").find(spec, names)
    if found is None:
        return None
    with reports(session.options, quiet=quiet) as report:
        _tell(found, names[0], report)
    return found.image.id


def settled_project(session: Session, desired: DesiredState, options: UpOptions) -> bool:
    """Report the builds that ``build`` would do; False when one of them is to be done.

    Then none is told here: all are the builder's.

    :raises PlanError: when the options ask for what is not there.
    """
    from orchestra.cli.render.progress import renderer_of
    from orchestra.planner.scope import make_scope

    scope = make_scope(desired, options)
    known = session.machine.settled_images(desired.project)
    found: list[tuple[str, Settled, float]] = []
    for image in scope.images:
        if image.build is None or not scope.named & set(image.services):
            continue
        begun = time.monotonic()
        settled = known.of_image(image)
        if settled is None:
            return False
        found.append((image.reference, settled, time.monotonic() - begun))
    if not found:
        return False
    renderer = renderer_of(session.options)
    for reference, settled, seconds in found:
        step = StepId(f"build image:{reference}")
        renderer.show(StepStarted(step=step, reason="build asked for"))
        _tell(settled, reference, renderer.show)
        renderer.show(StepDone(step=step, seconds=seconds))
    renderer.close()
    return True


def _tell(found: Settled, subject: str, report: Report) -> None:
    for action in found.actions:
        report(Progress(subject=subject, action=action))
    for warning in found.warnings:
        report(LogLine(source=subject, stream="stderr", text=f"warning: {warning}\n"))
    report(Progress(subject=subject, action="built"))
