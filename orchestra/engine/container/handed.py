"""A `run` whose container one process makes and another stays with: what passes between them."""

from __future__ import annotations

from orchestra.planner.oneoff import Run
from orchestra.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """What a command asks for.

    ``code``: that of orchestra.sources; ``key``: under which the project's state is remembered.
    """

    code: str
    key: str
    run: Run
    no_deps: bool
    remove: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A container that runs; the descriptors are the receiver's."""

    container_id: str
    descriptors: tuple[int, ...]
