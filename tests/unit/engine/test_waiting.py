"""Work that waits for nothing outside of itself, without an event loop."""

from __future__ import annotations

import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio
import pytest

from orchestra.engine.waiting import (
    Event,
    LoopWantedError,
    has_loop,
    in_thread,
    pause,
    sleep_forever,
    tasks,
    want_loop,
    without_loop,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


async def talk(said: list[str]) -> int:
    """Let one task wait for another one, and both be waited for."""
    asked, answered = Event(), Event()

    async def answer() -> None:
        await asked.wait()
        said.append(await in_thread(str.upper, "answer"))
        answered.set()
        await sleep_forever()

    async with tasks() as start_soon:
        start_soon(answer)
        start_soon(sleep_forever)
        said.append("question")
        asked.set()
        await answered.wait()
        await pause(0)
    await answered.wait()
    return 1


def with_loop(main: Callable[[], object]) -> object:
    return anyio.run(main)  # type: ignore[arg-type]


@pytest.mark.parametrize("run", [without_loop, with_loop])
def test_tasks_wait_for_one_another_in_both_ways(run: Callable[[object], object]) -> None:
    said: list[str] = []
    assert run(lambda: talk(said)) == 1
    assert said == ["question", "ANSWER"]


def test_without_a_loop_there_is_none() -> None:
    async def main() -> bool:
        want = has_loop()
        with suppress(LoopWantedError):
            want_loop()
            return True
        return want

    assert without_loop(main) is False
    assert has_loop()
    want_loop()


def test_what_waits_for_what_nobody_does_wants_a_loop() -> None:
    ended: list[str] = []

    async def main() -> None:
        try:
            await sleep_forever()
        finally:
            ended.append("main")

    with pytest.raises(LoopWantedError):
        without_loop(main)
    assert ended == ["main"]


@pytest.mark.parametrize("error", [ValueError("wrong"), LoopWantedError(), KeyboardInterrupt()])
def test_what_goes_wrong_in_a_task_goes_through_who_waits_for_it(error: BaseException) -> None:
    seen: list[object] = []

    async def wrong() -> None:
        raise error

    @asynccontextmanager
    async def watched() -> AsyncIterator[None]:
        try:
            yield
        except BaseException as found:
            seen.append(found)
            raise

    async def other() -> None:
        try:
            await sleep_forever()
        finally:
            seen.append("other")

    async def main() -> None:
        async with watched(), tasks() as start_soon:
            start_soon(other)
            start_soon(wrong)
            await sleep_forever()

    with pytest.raises(type(error)):
        without_loop(main)
    assert error in seen
    assert "other" in seen


def test_neither_asyncio_nor_anyio_is_imported() -> None:
    program = (
        "import sys\n"
        "from orchestra.engine.waiting import *\n"
        "async def main():\n"
        "    async with tasks() as start: return await in_thread(len, [1])\n"
        "assert without_loop(main) == 1\n"
        "print(*{'asyncio', 'anyio'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "\n"
