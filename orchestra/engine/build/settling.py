"""The builder's dealings with settled builds: one is looked for first, and told as if done."""

from __future__ import annotations

from collections.abc import Sequence

from orchestra.engine.build.environment import BuildEnvironment, Reports
from orchestra.engine.build.looking import Look
from orchestra.engine.build.settled import Settled
from orchestra.engine.events import LogLine, Progress
from orchestra.engine.waiting import in_thread


async def known_build(look: Look | None, environment: BuildEnvironment) -> Settled | None:
    """Return the build when it is settled, its image having every name."""
    if look is None:
        return None
    with environment.layers.writing():
        known = await in_thread(environment.settled.find, look)
        if known is not None and not known.named:
            await in_thread(environment.images.name, known.image, look.names)
    return known


def tell_settled(known: Settled, subject: str, reports: Reports) -> None:
    """Report a settled build as if each of its steps had been looked up."""
    for action in known.actions:
        reports.progress(Progress(subject=subject, action=action))
    tell_warnings(known.warnings, subject, reports)
    reports.progress(Progress(subject=subject, action="built"))


def tell_warnings(warnings: Sequence[str], subject: str, reports: Reports) -> None:
    """Report warnings as lines of stderr."""
    for warning in warnings:
        reports.output(LogLine(source=subject, stream="stderr", text=f"warning: {warning}\n"))
