"""Running a command's coroutine where it may turn out that it waits for nothing."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, TypeVar

from orchestra.engine.waiting import without_loop
from orchestra.errors import Interrupted

if TYPE_CHECKING:
    from orchestra.engine.waiting import Event

T = TypeVar("T")


def run_plainly(main: Callable[[], Coroutine[Event, None, T]]) -> T:
    """Run a command's coroutine without an event loop; a signal breaks it off.

    :raises Interrupted: when a signal ended it.
    :raises LoopWantedError: when it has to be run in the usual way.
    """

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    gc.freeze()
    gc.enable()
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        return without_loop(main)
    except KeyboardInterrupt as err:
        raise Interrupted("interrupted") from err
    finally:
        signal.signal(signal.SIGTERM, before)
