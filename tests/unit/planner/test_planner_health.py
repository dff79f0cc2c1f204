"""Health as a state machine, and restart decisions: Docker's numbers, and where we differ."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.oci.image import ImageHealthcheck
from orchestra.planner.desired import HealthSpec, RestartMode, RestartPolicy
from orchestra.planner.health import (
    EffectiveHealth,
    ProbeResult,
    advance,
    begin,
    effective,
    next_probe,
)
from orchestra.planner.observed import Health
from orchestra.planner.restart import Cause, History, Restart, Stay, decide

START = datetime(2026, 1, 1, tzinfo=UTC)


def s(seconds):
    return timedelta(seconds=seconds)


def run(check, *codes, took=0.1):
    """Probe as scheduled; return (second of each probe, health after it)."""
    state, now, seen = begin(check, START), START, []
    for code in codes:
        now = max(now, next_probe(state, now))
        began, now = now, now + s(took)
        result = ProbeResult(exit_code=code, output="", started_at=began, finished_at=now)
        state = advance(state, result, now)
        seen.append((round((began - START).total_seconds(), 1), state.health))
    return state, seen


CHECK = EffectiveHealth(test=("CMD", "x"), interval=s(10), retries=2)


def test_probing_begins_at_once_and_goes_on_each_second():
    _, seen = run(CHECK, 1, 1, 0, 0)
    assert [at for at, _ in seen] == [0, 1.1, 2.2, 12.3]
    assert [health for _, health in seen][:3] == [Health.STARTING, Health.STARTING, Health.HEALTHY]


def test_failures_of_the_first_interval_do_not_count():
    _, seen = run(CHECK, *[1] * 12)
    assert seen[9] == (9.9, Health.STARTING)
    assert seen[10] == (10.0, Health.STARTING)
    assert seen[11] == (20.1, Health.UNHEALTHY)


def test_start_interval_sets_the_pace_and_start_period_the_grace():
    check = EffectiveHealth(
        test=("CMD", "x"), interval=s(10), start_period=s(25), start_interval=s(5), retries=1
    )
    _, seen = run(check, *[1] * 7)
    assert [at for at, _ in seen] == [0, 5.1, 10.0, 15.1, 20.2, 25.3, 35.4][: len(seen)]
    assert [health for _, health in seen][4:6] == [Health.STARTING, Health.UNHEALTHY]


def test_a_healthy_container_turns_unhealthy_after_its_retries_and_back():
    state, seen = run(CHECK, 0, 1, 1, 0)
    assert [health for _, health in seen] == [
        Health.HEALTHY,
        Health.HEALTHY,
        Health.UNHEALTHY,
        Health.HEALTHY,
    ]
    assert state.failing_streak == 0
    assert state.since == START + s(30.4)


def test_only_the_last_results_are_kept():
    state, _ = run(CHECK, *[0] * 9)
    assert len(state.log) == 5


def test_a_slow_probe_that_outlives_the_first_interval_is_followed_at_once():
    _, seen = run(CHECK, 1, 0, took=15)
    assert [at for at, _ in seen] == [0, 15]


def test_a_clock_that_jumps_back_does_not_stop_probing():
    state, _ = run(CHECK, 0)
    early = START - timedelta(days=1)
    assert next_probe(state, early) <= early + CHECK.interval


@given(st.lists(st.integers(0, 1), min_size=1, max_size=40), st.integers(1, 60), st.integers(1, 5))
def test_never_unhealthy_sooner_than_docker(codes, interval, retries):
    check = EffectiveHealth(test=("CMD", "x"), interval=s(interval), retries=retries)
    _, seen = run(check, *codes, took=0)
    unhealthy = [at for at, health in seen if health is Health.UNHEALTHY]
    assert not unhealthy or unhealthy[0] >= interval * min(retries, 1)
    if not any(code == 0 for code in codes) and unhealthy:
        assert unhealthy[0] >= interval * retries


IMAGE = ImageHealthcheck(test=("CMD", "image"), interval_ns=7_000_000_000, retries=9)


@pytest.mark.parametrize(
    ("spec", "image", "expected"),
    [
        (None, None, None),
        (None, ImageHealthcheck(), None),
        (HealthSpec(test=("NONE",)), IMAGE, None),
        (None, ImageHealthcheck(test=("NONE",)), None),
        (
            None,
            IMAGE,
            EffectiveHealth(test=("CMD", "image"), interval=s(7), retries=9),
        ),
        (
            HealthSpec(test=("CMD-SHELL", "mine"), timeout=s(3)),
            IMAGE,
            EffectiveHealth(test=("CMD-SHELL", "mine"), interval=s(7), timeout=s(3), retries=9),
        ),
        (
            HealthSpec(interval=s(1), start_interval=s(2), start_period=s(4), retries=1),
            IMAGE,
            EffectiveHealth(
                test=("CMD", "image"),
                interval=s(1),
                start_interval=s(2),
                start_period=s(4),
                retries=1,
            ),
        ),
        (HealthSpec(test=("CMD", "x")), None, EffectiveHealth(test=("CMD", "x"))),
    ],
)
def test_a_service_overlays_its_image(spec, image, expected):
    assert effective(spec, image) == expected


ALWAYS = RestartPolicy(mode=RestartMode.ALWAYS)
FAILURE = RestartPolicy(mode=RestartMode.ON_FAILURE, max_retries=5)
NO = RestartPolicy()


@pytest.mark.parametrize(
    ("policy", "history", "cause", "reason"),
    [
        (ALWAYS, History(exit_code=0), Cause.EXITED, "exited 0, restart 1"),
        (FAILURE, History(exit_code=137, restarts=2), Cause.EXITED, "exited 137, restart 3 of 5"),
        (ALWAYS, History(), Cause.LOST, "lost, restart 1"),
        (NO, History(), Cause.UNHEALTHY, "unhealthy, restart 1"),
        (FAILURE, History(exit_code=0), Cause.UNHEALTHY, "unhealthy, restart 1 of 5"),
    ],
)
def test_restarts(policy, history, cause, reason):
    decision = decide(policy, history, cause, START)
    assert isinstance(decision, Restart)
    assert decision.reason == reason
    assert decision.at == START + timedelta(milliseconds=100)


@pytest.mark.parametrize(
    ("policy", "history", "cause", "reason"),
    [
        (NO, History(exit_code=1), Cause.EXITED, "exited 1, no restart policy"),
        (FAILURE, History(exit_code=0), Cause.EXITED, "exited 0, not a failure"),
        (
            FAILURE,
            History(exit_code=1, restarts=5),
            Cause.EXITED,
            "exited 1, restarted 5 of 5 times already",
        ),
        (
            ALWAYS,
            History(exit_code=1, stopped_by_user=True),
            Cause.EXITED,
            "exited 1, stopped on purpose",
        ),
        (ALWAYS, History(stopped_by_user=True), Cause.UNHEALTHY, "unhealthy, stopped on purpose"),
        (ALWAYS, History(heal=False), Cause.UNHEALTHY, "unhealthy, not healed by its own wish"),
    ],
)
def test_stays(policy, history, cause, reason):
    assert decide(policy, history, cause, START) == Stay(reason=reason)


def test_back_off_doubles_to_a_minute_and_starts_again_after_ten_seconds_of_life():
    history, waits = History(exit_code=1), []
    for _ in range(12):
        decision = decide(ALWAYS, history, Cause.EXITED, START)
        waits.append(decision.backoff.total_seconds())
        history = History(exit_code=1, backoff=decision.backoff, started_at=START, ended_at=START)
    assert waits == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60, 60]
    long = History(exit_code=1, backoff=s(60), started_at=START, ended_at=START + s(10))
    assert decide(ALWAYS, long, Cause.EXITED, START).backoff == timedelta(milliseconds=100)


def test_deploys_delay_and_window():
    policy = RestartPolicy(mode=RestartMode.ON_FAILURE, max_retries=2, delay=s(5), window=s(120))
    worn = History(exit_code=1, restarts=2, started_at=START, ended_at=START + s(119))
    assert isinstance(decide(policy, worn, Cause.EXITED, START), Stay)
    lived = History(exit_code=1, restarts=2, started_at=START, ended_at=START + s(120))
    decision = decide(policy, lived, Cause.EXITED, START)
    assert (decision.reason, decision.backoff) == ("exited 1, restart 1 of 2", s(5))
