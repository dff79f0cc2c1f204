"""Builds of which nothing has changed, told as done before anything that builds is imported."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from orchestra.engine.events import LogLine, Progress, StepDone, StepStarted
from orchestra.errors import EngineError

if TYPE_CHECKING:
    from orchestra.cli.session import Session
    from orchestra.engine.build.settled import Settled
    from orchestra.engine.events import Event
    from orchestra.engine.target import Report
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
    """Report the builds that ``build`` does, when one at most has to be done, and plainly.

    Else the answer is False, and none is told here: all are the builder's.

    :raises PlanError: when the options ask for what is not there.
    """
    from orchestra.cli.render.progress import renderer_of
    from orchestra.planner.steps import StepId

    known = session.machine.settled_images(desired.project)
    images = images_of(desired, options)
    events: list[Event] = []
    found: list[tuple[Settled, ImageSpec, tuple[Event, ...]]] = []
    changed: ImageSpec | None = None
    for image in images:
        begun = time.monotonic()
        step = StepId(f"build image:{image.reference}")
        events.append(StepStarted(step=step, reason="build asked for"))
        settled = known.of_image(image)
        if settled is not None:
            said = _events(settled, image.reference)
            events += said
            found.append((settled, image, said))
        elif changed is None and (len(images) == 1 or not _stands_on_others(image)):
            changed = image
            if not _done_plainly(session, desired.project, image, events.append):
                return False
        else:
            return False
        events.append(StepDone(step=step, seconds=time.monotonic() - begun))
    if not events:
        return False
    renderer = renderer_of(session.options)
    for event in events:
        renderer.show(event)
    renderer.close()
    for settled, image, said in found:
        if image.build is not None:
            known.record(settled, image.build, (image.reference, *image.build.tags), said)
    return True


def _stands_on_others(image: ImageSpec) -> bool:
    """Tell whether an image is built from another one of its project, as far as that is said."""
    return image.build is not None and bool(image.build.additional_contexts)


def _done_plainly(session: Session, project: str, image: ImageSpec, report: Report) -> bool:
    """Build an image without an event loop; False when it has to be done in the usual way.

    That way also tells what is wrong; all that was done is known to it.
    """
    from orchestra.cli.plain_run import run_plainly
    from orchestra.engine.state.lock import at_once
    from orchestra.engine.waiting import LoopWantedError

    spec = image.build
    if spec is None:
        return False
    builds = session.machine.builds(project)
    try:
        with at_once(session.machine.paths, project) as held:
            if not held:
                return False
            run_plainly(lambda: builds.build(spec, image.reference, report, again=True))
            session.machine.settled_images(project).note(image)
    except (LoopWantedError, EngineError):
        return False
    return True


def images_of(desired: DesiredState, options: UpOptions) -> tuple[ImageSpec, ...]:
    """Return the images that ``build`` builds.

    :raises PlanError: when the options ask for what is not there.
    """
    from orchestra.planner.scope import make_scope

    scope = make_scope(desired, options)
    return tuple(
        image
        for image in scope.images
        if image.build is not None and scope.named & set(image.services)
    )


def _events(found: Settled, subject: str) -> tuple[Event, ...]:
    """Return what a build says that does nothing."""
    said = [f"warning: {warning}\n" for warning in found.warnings]
    return (
        *(Progress(subject=subject, action=action) for action in found.actions),
        *(LogLine(source=subject, stream="stderr", text=text) for text in said),
        Progress(subject=subject, action="built"),
    )
