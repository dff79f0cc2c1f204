"""The seams of the engine: where plans are carried out, and who watches over what they made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from orchestra.engine.events import Event
from orchestra.planner.observed import ObservedState
from orchestra.planner.oneoff import Run
from orchestra.values import dataclass, field

S_contra = TypeVar("S_contra", contravariant=True)
Report = Callable[[Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecCommand:
    """A process to run in a running container, on our own streams; None is the container's own.

    ``detach``: it gets no streams, and nobody waits for it.
    """

    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None
    user: str | None = None
    tty: bool = False
    privileged: bool = False
    stdin: bool = True
    detach: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A copy between a container and this machine: paths as the user wrote them.

    None is an archive on our own stdin or stdout. ``follow``: the link that the source's last
    name is; ``archive``: keep owners on the way out, give files to the container's user on the
    way in. ``directory`` is what this machine's paths are relative to.
    """

    source: str | None
    target: str | None
    directory: str
    follow: bool = False
    archive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """An image to be made of a container; ``reference`` None leaves it without a name.

    ``changes`` are lines as in a Dockerfile; ``pause``: nothing in the container runs meanwhile.
    """

    reference: str | None = None
    author: str = ""
    message: str = ""
    changes: tuple[str, ...] = ()
    pause: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerProcess:
    """A process in a container; pids are the host's, ``terminal`` is "" where it has none."""

    uid: int
    pid: int
    parent: int
    started_at: datetime
    terminal: str
    cpu_time: timedelta
    command: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerUsage:
    """What a container has used since its start, and holds now.

    ``memory_bytes`` leaves out what the kernel would give up at once (inactive file pages).
    """

    cpu_time: timedelta
    memory_bytes: int
    memory_limit_bytes: int
    received_bytes: int
    sent_bytes: int
    read_bytes: int
    written_bytes: int
    pids: int


class Target(Protocol[S_contra]):
    """A machine (or cluster) that steps change and snapshots describe."""

    async def observe(self, project: str, references: Sequence[str] = ()) -> ObservedState:
        """Take a snapshot of a project; ``references`` are the images to look for.

        :raises StateError: when a record is damaged.
        """
        ...

    async def apply(self, step: S_contra, report: Report) -> None:
        """Carry out one step. Idempotent: a step that is already done does nothing.

        :raises EngineError: when the machine refuses.
        """
        ...


class Supervision(Protocol):
    """Whoever probes, restarts and serves names while a project is up."""

    async def ensure(self) -> None:
        """Start it unless it runs; it may still be on its way up when this returns.

        :raises EngineError: when it cannot be started.
        """
        ...

    def events(self) -> AsyncIterator[Event]:
        """Tell what it sees, from now on and without end.

        Begins with Subscribed, and again with Subscribed when it died and came back.

        :raises EngineError: when it does not answer for long.
        """
        ...

    async def release(self) -> None:
        """Let it end if nothing is left to watch; return when it has."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageFilter:
    """Which images are meant: those for which every condition that is set holds.

    ``references`` are patterns of names, of which one has to fit; ``before`` and ``since`` name
    images by which times are compared; labels are ``key`` or ``key=value``.
    """

    references: tuple[str, ...] = ()
    dangling: bool | None = None
    labels: tuple[str, ...] = ()
    without_labels: tuple[str, ...] = ()
    before: str | None = None
    since: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A `run` whose container a supervisor makes, for the command to stay with.

    ``code``: that of orchestra.sources; ``key``: under which the project's state is remembered.
    """

    code: str
    key: str
    run: Run
    no_deps: bool
    remove: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """The container of a `run`, which runs: the launcher's conversation, and its terminal.

    The descriptors are the receiver's.
    """

    container_id: str
    descriptors: tuple[int, ...]
