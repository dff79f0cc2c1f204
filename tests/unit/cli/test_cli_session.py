"""Signals at a running command: the first breaks off, is handed on, or cancels."""

from __future__ import annotations

import os
import signal

import anyio
import anyio.lowlevel
import pytest

from orchestra.cli.options import GlobalOptions
from orchestra.cli.session import Session
from orchestra.errors import EngineError, Interrupted, StepErrors


def _session() -> Session:
    return Session(GlobalOptions())


async def _interrupted_sleep() -> None:
    await anyio.lowlevel.checkpoint()
    os.kill(os.getpid(), signal.SIGINT)
    await anyio.sleep(30)


def test_a_signal_cancels_a_command_that_only_waits() -> None:
    with pytest.raises(Interrupted):
        _session().run(_interrupted_sleep)


def test_a_signal_that_no_plan_takes_cancels_too() -> None:
    session = _session()
    session.on_interrupt(lambda: False)
    with pytest.raises(Interrupted):
        session.run(_interrupted_sleep)


def test_a_command_may_end_in_its_own_way() -> None:
    session = _session()

    events = []

    async def main() -> str:
        event = anyio.Event()
        session.on_interrupt(event.set)
        os.kill(os.getpid(), signal.SIGINT)
        await event.wait()
        events.append("pressed")
        return "done"

    assert session.run(main) == "done"
    assert events == ["pressed"]


def test_signals_are_handed_on_as_often_as_they_come() -> None:
    session = _session()
    seen: list[int] = []

    async def main() -> None:
        done = anyio.Event()

        def forward(number: int) -> None:
            seen.append(number)
            if len(seen) < 3:
                os.kill(os.getpid(), signal.SIGTERM)
            else:
                done.set()

        with session.forwarding(forward):
            os.kill(os.getpid(), signal.SIGINT)
            await done.wait()

    session.run(main)
    assert seen == [signal.SIGINT, signal.SIGTERM, signal.SIGTERM]


def test_errors_of_tasks_come_out_as_they_are() -> None:
    async def fail(count: int) -> None:
        async with anyio.create_task_group() as tasks:
            for number in range(count):
                tasks.start_soon(_raise, number)

    async def _raise(number: int) -> None:
        raise EngineError(f"no {number}")

    with pytest.raises(EngineError, match="no 0"):
        _session().run(lambda: fail(1))
    with pytest.raises(StepErrors):
        _session().run(lambda: fail(2))
