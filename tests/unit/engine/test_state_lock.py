"""Locks between processes: who waits for a container that is removed gets nothing, leaves nothing."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from orchestra.engine.paths import Paths, paths_of
from orchestra.engine.state.lock import container_lock

pytestmark = pytest.mark.anyio


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    found = paths_of(
        {"ORCHESTRA_DATA": f"{tmp_path}/data", "ORCHESTRA_RUN": f"{tmp_path}/run"}, uid=0
    )
    Path(found.container("shop", "c")).mkdir(parents=True)
    return found


async def test_only_one_holds_it(paths: Paths) -> None:
    inside: list[int] = []

    async def hold(number: int) -> None:
        async with container_lock(paths, "shop", "c"):
            inside.append(number)
            await anyio.sleep(0.03)
            assert inside[-1] == number

    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(hold, number)
    assert sorted(inside) == [0, 1, 2, 3]
    assert Path(paths.container_run("shop", "c")).exists()


async def test_who_waited_for_a_container_that_is_gone_leaves_nothing(paths: Paths) -> None:
    durable, volatile = (
        Path(paths.container("shop", "c")),
        Path(paths.container_run("shop", "c")),
    )
    found: list[bool] = []

    async def wait() -> None:
        async with container_lock(paths, "shop", "c"):
            found.append(durable.exists())

    async with anyio.create_task_group() as tasks, container_lock(paths, "shop", "c"):
        for _ in range(3):
            tasks.start_soon(wait)
        await anyio.sleep(0.1)
        removed = volatile.rename(volatile.with_name("removed"))
        await anyio.sleep(0.1)  # they look for the lock by its name all the time
        (removed / "lock").unlink()
        removed.rmdir()
        durable.rmdir()
    assert found == [False] * 3
    assert list(volatile.parent.iterdir()) == []
