"""A program with helpers of its own: with its end, or ours, all of them are gone."""

from __future__ import annotations

import contextlib
import os
import time
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest
from support.cell import wait_until

from orchestra.engine.process import run_group

pytestmark = pytest.mark.anyio


def lives(word: str) -> bool:
    """Tell whether a process with that word among its arguments runs."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if word.encode() in path.read_bytes().split(b"\0"):
                return True
    return False


@pytest.mark.parametrize("steps", range(8))
async def test_who_is_broken_off_while_it_starts_leaves_no_helper(
    steps: int, tmp_path: Path
) -> None:
    word = f"987{os.getpid()}{steps}"
    begun = tmp_path / "begun"
    argv = ["sh", "-c", f"sleep {word} & : > {begun}; wait"]
    async with anyio.create_task_group() as tasks:

        async def group() -> None:
            await run_group(argv, env={"PATH": os.defpath}, timeout=timedelta(minutes=10))

        tasks.start_soon(group)
        for _ in range(steps):
            await anyio.lowlevel.checkpoint()
        deadline = time.monotonic() + 0.5
        while not begun.exists() and time.monotonic() < deadline:
            time.sleep(0.001)  # noqa: ASYNC251 - the loop stands still: so far it is, and no further
        tasks.cancel_scope.cancel()
    wait_until(lambda: not lives(word))
