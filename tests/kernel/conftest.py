"""What every kernel test shares: a name of its own, and the proof that it left nothing behind.

The check sees what can be told apart from other programs' doings on the same machine: our
descendants (this process adopts orphans), mounts below the test's directory or of our making,
cgroups and links with the test's token in their name, and our own descriptors.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import pytest
from support.builds import box, builder  # noqa: F401
from support.bundles import Bundle
from support.machine import paths, registry, run, store  # noqa: F401
from support.patience import FACTOR
from support.verbs import end, start

from orchestra.engine.linux import host
from orchestra.engine.linux.process import set_child_subreaper

_SETTLE_SECONDS = 30.0 * FACTOR


@dataclass(frozen=True)
class Footprint:
    """What a test may leave; each a set of names."""

    processes: frozenset[str]
    mounts: frozenset[str]
    cgroups: frozenset[str]
    links: frozenset[str]
    descriptors: frozenset[str]


def _children() -> frozenset[str]:
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # a thread that ended
            found |= set((task / "children").read_text().split())
    return frozenset(found)


def _cgroups(token: str) -> frozenset[str]:
    found = set()
    cgroups = host.cgroups()
    for hierarchy in (*cgroups.v1, *((cgroups.unified,) if cgroups.unified else ())):
        for directory, names, _ in os.walk(hierarchy.mountpoint):
            found |= {f"{directory}/{name}" for name in names if token in name}
    return frozenset(found)


def _descriptors() -> frozenset[str]:
    found = set()
    for number in range(3, 256):
        with contextlib.suppress(OSError):
            found.add(f"{number} -> {os.fstat(number).st_ino}")
    return frozenset(found)


def footprint(token: str, directory: Path) -> Footprint:
    """Take the footprint of the test that has ``token`` and ``directory``."""
    here = str(directory)
    mounts = {m.mountpoint for m in host.mounts() if here in m.mountpoint or here in m.source}
    links = {path.name for path in Path("/sys/class/net").iterdir() if token in path.name}
    return Footprint(
        _children(),
        frozenset(mounts),
        _cgroups(token),
        frozenset(links),
        _descriptors(),
    )


def leaks(before: Footprint, after: Footprint) -> dict[str, list[str]]:
    """Return what is there and was not, by kind."""
    new = {f.name: sorted(getattr(after, f.name) - getattr(before, f.name)) for f in fields(before)}
    return {kind: names for kind, names in new.items() if names}


def _collect(pids: Iterable[str]) -> None:
    """Collect orphans that ended: they come to this process, a subreaper, whenever they do."""
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(int(pid), os.WNOHANG)


@pytest.fixture
def token() -> str:
    """A name that no other test has; short enough for a link."""
    return f"t{secrets.token_hex(4)}"


@pytest.fixture(autouse=True)
def no_leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves something, after a moment for the kernel's own clean-up."""
    if not request.node.get_closest_marker("kernel") and not request.node.get_closest_marker(
        "runtime"
    ):
        yield
        return
    token, directory = request.getfixturevalue("token"), request.getfixturevalue("tmp_path")
    set_child_subreaper()
    before = footprint(token, directory)
    yield
    deadline = time.monotonic() + _SETTLE_SECONDS
    left = leaks(before, footprint(token, directory))
    while left and time.monotonic() < deadline:
        time.sleep(0.02)
        _collect(left.get("processes", ()))
        left = leaks(before, footprint(token, directory))
    assert not left, f"left behind: {left}"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def bundle(tmp_path: Path, token: str) -> Bundle:
    return Bundle(tmp_path / "bundle", token)


@pytest.fixture
def running(bundle: Bundle) -> Iterator[int]:
    pid = start(bundle.shell("sleep 100"))
    yield pid
    end(bundle, pid)
