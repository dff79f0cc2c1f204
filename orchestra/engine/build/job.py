"""What the build of one platform is about, and what it shares with those of the others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from orchestra.engine.build.environment import NetworkMode
from orchestra.engine.build.graph import Graph
from orchestra.engine.build.runs import RunSettings
from orchestra.engine.build.tree import Tree
from orchestra.engine.waiting import Event
from orchestra.oci.platform import Platform
from orchestra.values import dataclass, field


class Underway:
    """The steps that one build does, and has done, by their keys: none of them is done twice."""

    def __init__(self) -> None:
        self.done: set[str] = set()
        self._doing: dict[str, Event] = {}

    @asynccontextmanager
    async def alone(self, key: str) -> AsyncIterator[None]:
        """Look after a step for the time of the block; whoever comes second waits for its end."""
        while (doing := self._doing.get(key)) is not None:
            await doing.wait()
        ended = self._doing[key] = Event()
        try:
            yield
        finally:
            del self._doing[key]
            ended.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one build is about; messages call it ``subject``.

    ``trees`` are the contexts, "" the main one.
    """

    subject: str
    graph: Graph
    arguments: Mapping[str, str]
    platform: Platform
    trees: Mapping[str, Tree]
    context_images: Mapping[str, str]
    network: NetworkMode
    no_cache: bool
    no_cache_stages: frozenset[str]
    pull: bool
    epoch: int | None
    settings: RunSettings
    several: bool = False
    """Whether other platforms are built beside this one, as messages tell then."""
    underway: Underway = field(default_factory=Underway)
    """What the build does and has done, for all of its platforms."""

    @property
    def epoch_ns(self) -> int | None:
        """Return SOURCE_DATE_EPOCH in nanoseconds."""
        return None if self.epoch is None else self.epoch * 10**9
