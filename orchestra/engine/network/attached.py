"""Who is on which network of this machine, by the containers' records.

And the leases that keep two processes from choosing the same address at the same moment: one
file per address in the run directory, of use only while the process that made it lives.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from orchestra.engine.linux.directories import make_private
from orchestra.engine.linux.process import Identity, identity, is_alive
from orchestra.engine.paths import Paths
from orchestra.engine.shim.protocol import EXIT_FILE
from orchestra.engine.state.records import ContainerRecord, Wanted
from orchestra.engine.state.store import RECORD_FILE, Store
from orchestra.errors import StateError
from orchestra.values import dataclass


@dataclass(frozen=True, slots=True)
class Occupant:
    """A container, and its addresses by network."""

    project: str
    name: str
    addresses: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, record: ContainerRecord) -> Occupant:
        """Return what a record says."""
        found = (
            (endpoint.network, address)
            for endpoint in record.endpoints
            for address in (endpoint.ipv4, endpoint.ipv6)
            if address
        )
        return cls(record.spec.project, record.spec.name, tuple(found))


class Attached:
    """Every container record of this machine."""

    def __init__(self, store: Store) -> None:
        self._paths = store.paths
        self._reader = store.reader
        self._known: dict[str, Occupant] = {}

    def records(self) -> list[ContainerRecord]:
        """Return the containers of every project.

        A damaged record is its own project's trouble: that is told, and no other is kept waiting.
        """
        found: list[ContainerRecord] = []
        for directory in self._directories():
            with suppress(StateError):
                record = self._reader.read(f"{directory}/{RECORD_FILE}", ContainerRecord)
                found += [] if record is None else [record]
        return found

    def _directories(self) -> list[str]:
        projects = str(self._paths.projects)
        return [
            f"{projects}/{project}/containers/{container}"
            for project in _names(projects)
            for container in _names(f"{projects}/{project}/containers")
        ]

    def running(self) -> list[ContainerRecord]:
        """Return the containers that are wanted running and have not ended."""
        wanted = [record for record in self.records() if record.wanted is Wanted.RUNNING]
        return [
            record
            for record in wanted
            if not Path(self._paths.container(record.spec.project, record.id), EXIT_FILE).exists()
        ]

    def occupants(self) -> Iterable[Occupant]:
        """Return who has which places, for every container of this machine.

        A container's places never change: each record is read once, however often this is asked.
        """
        known, self._known = self._known, {}
        for directory in self._directories():
            occupant = known.get(directory)
            if occupant is None:
                with suppress(StateError):
                    record = self._reader.read(f"{directory}/{RECORD_FILE}", ContainerRecord)
                    occupant = None if record is None else Occupant.of(record)
            if occupant is not None:
                self._known[directory] = occupant
        return self._known.values()

    def on(self, network: str) -> list[ContainerRecord]:
        """Return the containers that have a place on a network, by the machine's name for it."""
        return [r for r in self.records() if any(e.network == network for e in r.endpoints)]


def _names(directory: str) -> list[str]:
    try:
        names = os.listdir(directory)  # noqa: PTH208 - asked for each of hundreds of containers
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [name for name in names if not name.startswith(".")]


class Leases:
    """Addresses that living processes have chosen, and may not have written into a record yet.

    A lease is a symbolic link to who holds it: made with its text in one step, and leads nowhere.
    """

    def __init__(self, paths: Paths) -> None:
        self._root = f"{paths.run}/leases"
        self._own: dict[str, set[str]] = {}

    def taken(self, network: str) -> set[str]:
        """Return what other processes hold on a network; leases of dead ones are removed."""
        return self._held(network, mine=False)

    def held(self, network: str) -> set[str]:
        """Return what this process holds on a network."""
        return self._held(network, mine=True)

    def _held(self, network: str, *, mine: bool) -> set[str]:
        directory, own = f"{self._root}/{network}", self._own.get(network, set())
        names = set(_names(directory))
        found = names & own if mine else set()
        for name in names - own:
            holder = _holder(f"{directory}/{name}")
            if holder is None:
                with suppress(FileNotFoundError):
                    os.unlink(f"{directory}/{name}")  # noqa: PTH108 - as above
            elif (holder == os.getpid()) == mine:
                found.add(name)
        return found

    def take(self, network: str, address: str) -> bool:
        """Lease an address; False when another living process has it."""
        own = self._own.setdefault(network, set())
        path = f"{self._root}/{network}/{address}"
        try:
            self._link(path)
        except FileExistsError:
            ours = _written(path) == _own_text()
            own -= set() if ours else {address}
            return ours
        own.add(address)
        return True

    def _link(self, path: str) -> None:
        try:
            os.symlink(_own_text(), path)  # noqa: PTH211 - as above
        except FileNotFoundError:
            make_private(path.rpartition("/")[0])
            os.symlink(_own_text(), path)  # noqa: PTH211

    def release(self, network: str, address: str) -> None:
        """Give an address back."""
        with suppress(FileNotFoundError):
            os.unlink(f"{self._root}/{network}/{address}")  # noqa: PTH108 - as above
        self._own.get(network, set()).discard(address)

    def forget(self, network: str) -> None:
        """Give back every address of a network that goes away."""
        import shutil  # noqa: PLC0415 - takes longer than most of what is done here

        shutil.rmtree(f"{self._root}/{network}", ignore_errors=True)
        self._own.pop(network, None)


def _own_text() -> str:
    """Return what leases of this process say."""
    return _text_of(os.getpid())


@lru_cache(maxsize=1)
def _text_of(pid: int) -> str:
    """Say who this process is; asked for with its pid, for a fork is another one."""
    who = identity(pid)
    return f"{who['pid']} {who['start_time']} {who['boot_id']}"


def _written(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - as above
    except OSError:
        return ""


def _holder(path: str) -> int | None:
    """Return the pid of a lease's living holder."""
    try:
        pid, start_time, boot_id = _written(path).split()
        who: Identity = {"pid": int(pid), "start_time": int(start_time), "boot_id": boot_id}
    except ValueError:
        return None
    return who["pid"] if is_alive(who) else None
