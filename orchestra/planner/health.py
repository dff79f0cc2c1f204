"""A container's health as a small state machine: what a probe's result means, when to probe next.

Numbers and meanings are Docker's, but for the start: Docker's first probe comes one interval after
the start; here probing starts at once and repeats every ``start_interval`` (each second where that
is not set) until the first success or until the first interval is over. Failures of that time
don't count, so that nothing turns unhealthy sooner than under Docker, only healthy sooner.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from orchestra.oci.image import ImageHealthcheck
from orchestra.planner.desired import HealthSpec
from orchestra.planner.observed import Health
from orchestra.values import dataclass, replace

DEFAULT_INTERVAL = timedelta(seconds=30)
DEFAULT_TIMEOUT = timedelta(seconds=30)
DEFAULT_START_INTERVAL = timedelta(seconds=5)
DEFAULT_RETRIES = 3
EAGER_INTERVAL = timedelta(seconds=1)
LOG_LENGTH = 5
_ZERO = timedelta()


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveHealth:
    """A healthcheck with every value known; ``start_interval`` None was never set."""

    test: tuple[str, ...]
    interval: timedelta = DEFAULT_INTERVAL
    timeout: timedelta = DEFAULT_TIMEOUT
    start_period: timedelta = _ZERO
    start_interval: timedelta | None = None
    retries: int = DEFAULT_RETRIES


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    """One run of a test: 0 is healthy, -1 is a test that did not end in time or did not start."""

    exit_code: int
    output: str
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthState:
    """What is known of one life of a container; ``since``: the last change of ``health``."""

    check: EffectiveHealth
    started_at: datetime
    since: datetime
    health: Health = Health.STARTING
    failing_streak: int = 0
    log: tuple[ProbeResult, ...] = ()


def effective(spec: HealthSpec | None, image: ImageHealthcheck | None) -> EffectiveHealth | None:
    """Lay a service's healthcheck over its image's; None where nothing is to be probed."""
    spec = spec or HealthSpec()
    image = image or ImageHealthcheck()
    test = spec.test or image.test
    if len(test) < 2 or test[0] == "NONE":
        return None
    return EffectiveHealth(
        test=test,
        interval=spec.interval or _span(image.interval_ns) or DEFAULT_INTERVAL,
        timeout=spec.timeout or _span(image.timeout_ns) or DEFAULT_TIMEOUT,
        start_period=spec.start_period or _span(image.start_period_ns),
        start_interval=spec.start_interval or _span(image.start_interval_ns) or None,
        retries=spec.retries or image.retries or DEFAULT_RETRIES,
    )


def begin(check: EffectiveHealth, started_at: datetime) -> HealthState:
    """Return the state of a container that has just been started."""
    return HealthState(check=check, started_at=started_at, since=started_at)


def advance(state: HealthState, result: ProbeResult, now: datetime) -> HealthState:
    """Take a probe's result into account."""
    log = (*state.log, result)[-LOG_LENGTH:]
    if result.exit_code == 0:
        health, streak = Health.HEALTHY, 0
    elif state.health is Health.STARTING and result.started_at < _grace_end(state):
        health, streak = Health.STARTING, state.failing_streak
    else:
        streak = state.failing_streak + 1
        health = Health.UNHEALTHY if streak >= state.check.retries else state.health
    since = state.since if health is state.health else now
    return replace(state, health=health, failing_streak=streak, since=since, log=log)


def next_probe(state: HealthState, now: datetime) -> datetime:
    """Return when to probe next; not before ``now``, nor later than one interval from it."""
    planned = _planned(state)
    return min(max(planned, now), now + max(state.check.interval, _step(state, now)))


def _planned(state: HealthState) -> datetime:
    if not state.log:
        return state.started_at
    last = state.log[-1]
    step = _step(state, last.finished_at)
    eager_end = state.started_at + state.check.interval
    if state.health is Health.STARTING and last.started_at < eager_end:
        return min(last.finished_at + step, max(last.finished_at, eager_end))
    return last.finished_at + step


def _step(state: HealthState, at: datetime) -> timedelta:
    """Return the pause between two probes at some time of the container's life."""
    check = state.check
    if state.health is not Health.STARTING:
        return check.interval
    if at < state.started_at + check.interval:
        return min(check.start_interval or EAGER_INTERVAL, check.interval)
    if at < state.started_at + check.start_period:
        return check.start_interval or DEFAULT_START_INTERVAL
    return check.interval


def _grace_end(state: HealthState) -> datetime:
    return state.started_at + max(state.check.interval, state.check.start_period)


def _span(nanoseconds: int) -> timedelta:
    return timedelta(microseconds=nanoseconds // 1000)
