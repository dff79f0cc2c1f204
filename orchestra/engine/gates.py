"""Wait until a dependency has become what a step asks for.

Events are only the occasion to look: each one leads to a new snapshot, and the pure ``judge``
reads every pending gate off it. So no event can be missed, stale or out of order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import anyio

from orchestra.engine.events import Event
from orchestra.errors import GateError
from orchestra.planner.desired import Condition, RestartMode
from orchestra.planner.observed import Health, ObservedContainer, ObservedState, Phase
from orchestra.planner.steps import Gate, StartContainer
from orchestra.values import dataclass, field

_OPEN = ""


def judge(gate: Gate, observed: ObservedState, not_yet: frozenset[str]) -> str | None:
    """Tell how a gate stands: "" is open, None is not yet, anything else why it never opens.

    ``not_yet`` are services of which this plan still has to start a container.
    """
    if gate.service in not_yet:
        return None
    replicas = [
        container
        for container in observed.containers
        if container.service == gate.service and not container.one_off
    ]
    if not replicas:
        return f'service "{gate.service}" has no container'
    verdicts = [_judge_one(gate.condition, container) for container in replicas]
    failed = [verdict for verdict in verdicts if verdict]
    if failed:
        return failed[0]
    return _OPEN if all(verdict == _OPEN for verdict in verdicts) else None


def _judge_one(condition: Condition, container: ObservedContainer) -> str | None:
    ended = container.phase in {Phase.EXITED, Phase.LOST}
    match condition:
        case Condition.STARTED:
            return _OPEN if container.phase is not Phase.CREATED else None
        case Condition.COMPLETED:
            if not ended:
                return None
            if container.exit_code == 0:
                return _OPEN
            if comes_back(container):
                return None
            return f'container "{container.name}" exited with code {container.exit_code}'
        case Condition.HEALTHY:
            if ended:
                if comes_back(container):
                    return None
                return (
                    f'container "{container.name}" exited with code {container.exit_code} '
                    "before it was healthy"
                )
            return _judge_health(container)


def _judge_health(container: ObservedContainer) -> str | None:
    match container.health:
        case Health.HEALTHY:
            return _OPEN
        case Health.UNHEALTHY:
            return f'container "{container.name}" is unhealthy'
        case Health.NONE:
            return f'container "{container.name}" has no healthcheck'
        case Health.STARTING:
            return None


def comes_back(container: ObservedContainer) -> bool:
    """Tell whether a container that ended is started again by its restart policy."""
    if container.stopped_by_user:
        return False
    match container.restart.mode:
        case RestartMode.ALWAYS | RestartMode.UNLESS_STOPPED:
            return True
        case RestartMode.ON_FAILURE:
            limit = container.restart.max_retries
            return container.exit_code != 0 and (not limit or container.restarts < limit)
        case RestartMode.NO:
            return False


@dataclass(slots=True)
class _Pending:
    gate: Gate
    decided: anyio.Event = field(default_factory=anyio.Event)
    failure: str = ""


class GateKeeper:
    """The gates of one plan under execution."""

    def __init__(
        self, observe: Callable[[], Awaitable[ObservedState]], to_start: Iterable[StartContainer]
    ) -> None:
        self._observe = observe
        self._not_yet = {step.name: step.service for step in to_start}
        self._pending: list[_Pending] = []
        self._look = anyio.Event()

    def started(self, name: str) -> None:
        """Note that a container of this plan has been started."""
        self._not_yet.pop(name, None)
        self.look()

    def look(self) -> None:
        """Have the pending gates judged again."""
        self._look.set()

    async def wait(self, gate: Gate) -> None:
        """Wait until the gate is open.

        :raises GateError: when it can no longer open.
        """
        pending = _Pending(gate)
        self._pending.append(pending)
        self.look()
        try:
            await pending.decided.wait()
        finally:
            self._pending.remove(pending)
        if pending.failure:
            raise GateError(
                f"dependency failed: {pending.failure}",
                hint=f"see `orchestra logs {gate.service}`",
            )

    async def follow(self, events: AsyncIterator[Event]) -> None:
        """Look again whenever something happens, until cancelled."""
        async for _ in events:
            self.look()

    async def run(self) -> None:
        """Judge pending gates at every look, until cancelled."""
        while True:
            await self._look.wait()
            self._look = anyio.Event()
            if not self._pending:
                continue
            observed = await self._observe()
            not_yet = frozenset(self._not_yet.values())
            for pending in list(self._pending):
                verdict = judge(pending.gate, observed, not_yet)
                if verdict is not None:
                    pending.failure = verdict
                    pending.decided.set()
