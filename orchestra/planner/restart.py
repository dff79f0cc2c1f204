"""Whether, when and why a container that ended, or is unhealthy, is started again.

The numbers are moby's: 100 ms, doubled each time, at most a minute, and from the beginning again
after ten seconds of life. Beyond moby, an unhealthy container is healed (DESIGN, "health and
restart"). The clock and the history come in as arguments.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from orchestra.planner.desired import RestartMode, RestartPolicy
from orchestra.values import dataclass, replace

FIRST_BACKOFF = timedelta(milliseconds=100)
LONGEST_BACKOFF = timedelta(minutes=1)
LONG_LIFE = timedelta(seconds=10)
_FACTOR = 2


class Cause(StrEnum):
    """Why a decision is needed; LOST: it should run, and neither it nor its exit is there."""

    EXITED = "exited"
    UNHEALTHY = "unhealthy"
    LOST = "lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What is known of a container's life.

    ``restarts`` counts those since somebody last started it. ``backoff`` is the wait before the
    present life, 0 for the first. ``ended_at`` None counts the present life up to ``now``.
    ``heal``: being unhealthy is a reason to restart it (ContainerSpec.heal).
    """

    restarts: int = 0
    exit_code: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    backoff: timedelta = timedelta()
    stopped_by_user: bool = False
    heal: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Start it again at that time; the next History has this ``backoff``."""

    at: datetime
    reason: str
    backoff: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """Leave it as it is."""

    reason: str


def decide(policy: RestartPolicy, history: History, cause: Cause, now: datetime) -> Restart | Stay:
    """Decide what becomes of a container that ended or turned unhealthy."""
    what = _describe(cause, history)
    history = _within_window(policy, history, now)
    refusal = _refusal(policy, history, cause)
    if refusal:
        return Stay(reason=f"{what}, {refusal}")
    backoff = _backoff(policy, history, now)
    count = f"restart {history.restarts + 1}"
    if _limited(policy):
        count += f" of {policy.max_retries}"
    return Restart(at=now + backoff, reason=f"{what}, {count}", backoff=backoff)


def _describe(cause: Cause, history: History) -> str:
    match cause:
        case Cause.EXITED:
            return "exited" if history.exit_code is None else f"exited {history.exit_code}"
        case Cause.UNHEALTHY | Cause.LOST:
            return str(cause)
        case _:
            assert_never(cause)


def _refusal(policy: RestartPolicy, history: History, cause: Cause) -> str:
    """Return why nothing is done; "" when it is restarted."""
    if history.stopped_by_user:
        return "stopped on purpose"
    if _limited(policy) and history.restarts >= policy.max_retries:
        return f"restarted {history.restarts} of {policy.max_retries} times already"
    if cause is Cause.UNHEALTHY:
        return "" if history.heal else "not healed by its own wish"
    match policy.mode:
        case RestartMode.NO:
            return "no restart policy"
        case RestartMode.ON_FAILURE:
            return "not a failure" if history.exit_code == 0 and cause is Cause.EXITED else ""
        case RestartMode.ALWAYS | RestartMode.UNLESS_STOPPED:
            return ""
        case _:
            assert_never(policy.mode)


def _limited(policy: RestartPolicy) -> bool:
    return policy.mode is RestartMode.ON_FAILURE and policy.max_retries > 0


def _within_window(policy: RestartPolicy, history: History, now: datetime) -> History:
    life = _life(history, now)
    if policy.window is None or life is None or life < policy.window:
        return history
    return replace(history, restarts=0)


def _life(history: History, now: datetime) -> timedelta | None:
    if history.started_at is None:
        return None
    return (history.ended_at or now) - history.started_at


def _backoff(policy: RestartPolicy, history: History, now: datetime) -> timedelta:
    if policy.delay is not None:
        return policy.delay
    life = _life(history, now)
    if not history.backoff or (life is not None and life >= LONG_LIFE):
        return FIRST_BACKOFF
    return min(history.backoff * _FACTOR, LONGEST_BACKOFF)
