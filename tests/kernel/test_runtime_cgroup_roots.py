"""Nothing of ours stays in the cgroup trees once the last container is gone."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from support.cell import Cell, open_cell, spec, wait_until

from orchestra.engine.linux import host
from orchestra.engine.runtime.cgroup_v1 import CgroupV1
from orchestra.engine.runtime.cgroup_v2 import CgroupV2

pytestmark = [pytest.mark.kernel, pytest.mark.anyio]


def directories(path: str) -> list[Path]:
    """Return where a cgroup lies in every hierarchy of this host."""
    cgroups = host.cgroups()
    trees = (*cgroups.v1, *((cgroups.unified,) if cgroups.unified else ()))
    return [Path(tree.mountpoint + path) for tree in trees]


def v1(path: str) -> CgroupV1:
    return CgroupV1.below(host.cgroups().v1, path)


def v2(path: str) -> CgroupV2:
    unified = host.cgroups().unified
    if unified is None:
        pytest.skip("this host has no cgroup v2 hierarchy")
    return CgroupV2.below(unified, path)


@pytest.mark.parametrize("at", [pytest.param(v1, marks=pytest.mark.cgroup_v1), v2])
def test_parents_go_with_the_last(at: Callable[[str], CgroupV1 | CgroupV2], token: str) -> None:
    root = f"/orchestra/{token}"
    first, last = at(f"{root}/first"), at(f"{root}/last")
    first.create()
    last.create()
    first.delete()
    assert any(path.exists() for path in directories(root))
    last.delete()
    assert not any(path.exists() for path in directories(root))


@pytest.mark.parametrize("at", [pytest.param(v1, marks=pytest.mark.cgroup_v1), v2])
def test_what_a_killed_process_left_half_removed_goes(
    at: Callable[[str], CgroupV1 | CgroupV2], token: str
) -> None:
    """Its leaf is gone, its parents are not; whoever deletes or prunes next takes them along."""
    root = f"/orchestra/{token}"
    leaf = at(f"{root}/deep/leaf")
    for finish in (leaf.delete, at(f"{root}/deep").prune):
        leaf.create()
        for path in directories(f"{root}/deep/leaf"):
            if path.exists():
                path.rmdir()
        finish()
        assert not any(path.exists() for path in directories(root))


@pytest.mark.cgroup_v1
def test_pruning_leaves_what_is_in_use(token: str) -> None:
    root = f"/orchestra/{token}"
    used = v1(f"{root}/used")
    used.create()
    v1(root).prune()
    assert all(Path(path).exists() for path in used.directories.values())
    used.delete()


@pytest.mark.parametrize("at", [pytest.param(v1, marks=pytest.mark.cgroup_v1), v2])
def test_parents_that_vanish_meanwhile_are_made_again(
    at: Callable[[str], CgroupV1 | CgroupV2], token: str
) -> None:
    """They do whenever another's last container ends: it may be between any two calls."""
    root, over = f"/orchestra/{token}", threading.Event()
    parents = at(f"{root}/deep")

    def prune() -> None:
        while not over.is_set():
            parents.prune()
            over.wait(0.003)

    others = threading.Thread(target=prune)
    others.start()
    try:
        for number in range(200):
            leaf = at(f"{root}/deep/{number}")
            leaf.create()
            leaf.delete()
    finally:
        over.set()
        others.join()
    assert not any(path.exists() for path in directories(root))


@pytest.fixture
async def cell(tmp_path: Path, token: str) -> AsyncIterator[Cell]:
    async with open_cell(tmp_path, token) as opened:
        yield opened


async def test_a_projects_directory_goes_with_its_last_container(cell: Cell) -> None:
    records = [await cell.start(spec("/bin/sleep", "1000")) for _ in range(2)]
    root = f"/orchestra/{cell.project}"
    assert any(path.exists() for path in directories(root))
    for record in records:
        await cell.containers.kill(record)
        await cell.containers.wait(record)
    # what was made ahead of another goes a little later
    wait_until(lambda: not any(path.exists() for path in directories(root)))
