"""What the engine tells: typed events, and the bus that carries them inside one process.

Renderers, gates and servers subscribe; nobody in the engine prints.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from orchestra.errors import OrchestraError
from orchestra.planner.observed import Health
from orchestra.values import dataclass

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

    from orchestra.planner.steps import StepId

_BACKLOG = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """A step is being carried out."""

    step: StepId
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """A step is done; ``seconds`` is how long it took, gates not counted."""

    step: StepId
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed:
    """A step failed, or was given up because one before it failed."""

    step: StepId
    error: OrchestraError


@dataclass(frozen=True, slots=True, kw_only=True)
class StepWaiting:
    """A step waits at its gates."""

    step: StepId
    gates: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """Something that the user should know, and that stops nothing."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a transfer or a build has come: ``current`` of ``total`` (bytes or vertices)."""

    subject: str
    action: str
    current: int = 0
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One piece of output; ``stream`` is stdout or stderr, ``text`` keeps its newline if it had."""

    source: str
    stream: str
    text: str
    time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerStarted:
    """A container runs (again)."""

    container_id: str
    name: str
    service: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerExited:
    """A container ended; ``will_restart``: the supervisor starts it again."""

    container_id: str
    name: str
    service: str
    exit_code: int
    will_restart: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChanged:
    """A container's health changed."""

    container_id: str
    name: str
    service: str
    health: Health


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribed:
    """A subscription begins, or begins again: what happened before it must be looked up."""


Event = (
    StepStarted
    | StepDone
    | StepFailed
    | StepWaiting
    | Warned
    | Progress
    | LogLine
    | ContainerStarted
    | ContainerExited
    | HealthChanged
    | Subscribed
)


class EventBus:
    """Fan-out of events to any number of subscribers; publishing never waits."""

    def __init__(self) -> None:
        self._subscribers: list[MemoryObjectSendStream[Event]] = []

    def publish(self, event: Event) -> None:
        """Hand an event to every subscriber; one that has fallen far behind misses it."""
        import anyio  # noqa: PLC0415 - who only names an event has no loop

        for subscriber in list(self._subscribers):
            try:
                subscriber.send_nowait(event)
            except (anyio.WouldBlock, anyio.BrokenResourceError):
                continue

    @contextmanager
    def subscribe(self) -> Iterator[MemoryObjectReceiveStream[Event]]:
        """Open a stream of everything published from now on."""
        import anyio  # noqa: PLC0415 - who only names an event has no loop

        send, receive = anyio.create_memory_object_stream[Event](_BACKLOG)
        self._subscribers.append(send)
        try:
            with send, receive:
                yield receive
        finally:
            self._subscribers.remove(send)
