"""Waiting for tasks, threads and events, with an event loop or, for work that never waits, without.

Inside of :func:`without_loop` everything is done by the one thread there is: what would go to a
thread is called, tasks take turns where they wait for one another. What needs more than that says
so by :func:`want_loop`; whoever began it begins again with a loop then. One implementation of the
work serves both ways; what differs is here. Without a loop neither asyncio nor anyio is imported,
which takes longer than many a build (ADR 0026).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, TypeVar, cast

if TYPE_CHECKING:
    import anyio

_Task: TypeAlias = "Coroutine[Event, None, object]"

_T = TypeVar("_T")
_P = ParamSpec("_P")


class LoopWantedError(Exception):
    """This needs an event loop; what was done so far is done."""


class _Turns:
    """Tasks that take turns, until the first one is done or any one fails."""

    def __init__(self) -> None:
        self.ready: deque[_Task] = deque()
        self.all: list[_Task] = []

    def add(self, task: _Task) -> None:
        self.all.append(task)
        self.ready.append(task)

    def end(self, task: _Task) -> None:
        """End a task that has not come to its own end."""
        if task in self.all:
            self.all.remove(task)
            if task in self.ready:
                self.ready.remove(task)
            task.close()

    def run(self, main: Coroutine[Event, None, _T]) -> _T:
        self.add(main)
        try:
            while self.ready:
                task = self.ready.popleft()
                try:
                    event = task.send(None)
                except StopIteration as ended:
                    self.all.remove(task)
                    if task is main:
                        result: _T = ended.value
                        return result
                    continue
                except BaseException as error:
                    if task is main:
                        raise
                    self.all.remove(task)
                    task, event = main, main.throw(error)  # who waits for all hears of it
                event.waiting.append(task)
        finally:
            for task in reversed(self.all):
                task.close()
        raise LoopWantedError  # all wait for what nobody here will do


_turns: list[_Turns] = []


def without_loop(main: Callable[[], Coroutine[Event, None, _T]]) -> _T:
    """Do something without an event loop.

    :raises LoopWantedError: when that cannot be.
    """
    turns = _Turns()
    _turns.append(turns)
    try:
        return turns.run(main())
    finally:
        _turns.remove(turns)


def has_loop() -> bool:
    """Tell whether there is an event loop."""
    return not _turns


def want_loop() -> None:
    """Go on only where there is an event loop.

    :raises LoopWantedError: where there is none.
    """
    if _turns:
        raise LoopWantedError


async def in_thread(function: Callable[_P, _T], *arguments: _P.args, **keywords: _P.kwargs) -> _T:
    """Call what blocks in a thread, if there is something else to do meanwhile."""
    if _turns:
        return function(*arguments, **keywords)
    from functools import partial  # noqa: PLC0415 - this, and what follows, is for loops

    import anyio.to_thread  # noqa: PLC0415

    return await anyio.to_thread.run_sync(partial(function, *arguments, **keywords))


class Event:
    """Something that happens once, and that any number of tasks wait for."""

    def __init__(self) -> None:
        self.waiting: list[_Task] = []
        self._happened = False
        self._loops: anyio.Event | None = None
        if not _turns:
            import anyio  # noqa: PLC0415 - there is a loop

            self._loops = anyio.Event()

    def set(self) -> None:
        """Let it happen."""
        self._happened = True
        if self._loops is not None:
            self._loops.set()
        elif _turns:
            _turns[-1].ready.extend(self.waiting)
            self.waiting.clear()

    async def wait(self) -> None:
        """Wait until it has happened."""
        if self._loops is not None:
            await self._loops.wait()
        while not self._happened:
            await self

    def __await__(self) -> Generator[Event, None, None]:
        """Give the turn to others, until it happens."""
        yield self


StartSoon = Callable[..., None]
"""Begins another task: a coroutine function, and what it is called with."""


@asynccontextmanager
async def tasks() -> AsyncIterator[StartSoon]:
    """Give what begins tasks; those that are left when the block ends are ended.

    :raises ExceptionGroup: when one fails, where there is a loop; without one, what it raised ends
        everything.
    """
    if not _turns:
        import anyio  # noqa: PLC0415 - there is a loop

        async with anyio.create_task_group() as group:
            yield cast("StartSoon", group.start_soon)
            group.cancel_scope.cancel()
        return
    turns, own = _turns[-1], list[_Task]()

    def start_soon(function: Callable[..., _Task], *arguments: object) -> None:
        own.append(function(*arguments))
        turns.add(own[-1])

    yield start_soon
    for task in own:
        turns.end(task)


async def sleep_forever() -> None:
    """Wait until this task is ended."""
    await Event().wait()


async def pause(seconds: float) -> None:
    """Wait for a moment, for what gives no sign."""
    if _turns:
        time.sleep(seconds)  # noqa: ASYNC251 - nobody else is kept waiting
        return
    import anyio  # noqa: PLC0415 - there is a loop

    await anyio.sleep(seconds)
