"""Builds of which nothing has changed, told as done before anything that builds is imported."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from orchestra.engine.events import LogLine, Progress, StepDone, StepStarted
from orchestra.planner.steps import StepId

if TYPE_CHECKING:
    from orchestra.cli.session import Session
    from orchestra.engine.build.settled import Settled
    from orchestra.engine.events import Event
    from orchestra.planner.building import BuildSpec
    from orchestra.planner.desired import DesiredState, ImageSpec
    from orchestra.planner.options import UpOptions


def settled_image(
    session: Session, spec: BuildSpec, names: tuple[str, ...], *, quiet: bool
) -> str | None:
    """Report a build outside of projects, and return its image's id; None when it is to be done."""
    from orchestra.cli.render.transfers import reports

    known = session.machine.settled_images("")
    found = known.find(spec, names)
    if found is None:
        return None
    events = _events(found, names[0])
    with reports(session.options, quiet=quiet) as report:
        for event in events:
            report(event)
    known.record(found, spec, names, events)
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
    found: list[tuple[ImageSpec, Settled, float]] = []
    for image in scope.images:
        if image.build is None or not scope.named & set(image.services):
            continue
        begun = time.monotonic()
        settled = known.of_image(image)
        if settled is None:
            return False
        found.append((image, settled, time.monotonic() - begun))
    if not found:
        return False
    renderer = renderer_of(session.options)
    for image, settled, seconds in found:
        step = StepId(f"build image:{image.reference}")
        events = _events(settled, image.reference)
        renderer.show(StepStarted(step=step, reason="build asked for"))
        for event in events:
            renderer.show(event)
        renderer.show(StepDone(step=step, seconds=seconds))
        if image.build is not None:
            names = (image.reference, *image.build.tags)
            known.record(settled, image.build, names, events)
    renderer.close()
    return True


def _events(found: Settled, subject: str) -> tuple[Event, ...]:
    """Return what a build says that does nothing."""
    said = [f"warning: {warning}\n" for warning in found.warnings]
    return (
        *(Progress(subject=subject, action=action) for action in found.actions),
        *(LogLine(source=subject, stream="stderr", text=text) for text in said),
        Progress(subject=subject, action="built"),
    )
