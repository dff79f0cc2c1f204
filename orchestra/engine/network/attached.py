"""Who is on which network of this machine, by the containers' records.

And the leases that keep two processes from choosing the same address at the same moment: one file
per address in the run directory, of use only while the process that made it lives.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from orchestra.engine.linux.directories import make_private
from orchestra.engine.linux.process import identity, is_alive
from orchestra.engine.paths import Paths
from orchestra.engine.shim.protocol import EXIT_FILE
from orchestra.engine.state.records import ContainerRecord, Wanted
from orchestra.engine.state.store import RECORD_FILE, Store
from orchestra.errors import StateError


class Attached:
    """Every container record of this machine."""

    def __init__(self, store: Store) -> None:
        self._paths = store.paths
        self._reader = store.reader

    def records(self) -> list[ContainerRecord]:
        """Return the containers of every project.

        A damaged record is its own project's trouble: that is told, and no other is kept waiting.
        """
        found: list[ContainerRecord] = []
        for project in _subdirectories(Path(self._paths.projects)):
            for directory in _subdirectories(project / "containers"):
                with suppress(StateError):
                    record = self._reader.read(f"{directory}/{RECORD_FILE}", ContainerRecord)
                    found += [] if record is None else [record]
        return found

    def running(self) -> list[ContainerRecord]:
        """Return the containers that are wanted running and have not ended."""
        wanted = [record for record in self.records() if record.wanted is Wanted.RUNNING]
        return [
            record
            for record in wanted
            if not Path(self._paths.container(record.spec.project, record.id), EXIT_FILE).exists()
        ]

    def on(self, network: str) -> list[ContainerRecord]:
        """Return the containers that have a place on a network, by the machine's name for it."""
        return [r for r in self.records() if any(e.network == network for e in r.endpoints)]


def _subdirectories(directory: Path) -> list[Path]:
    try:
        with os.scandir(directory) as entries:
            return [Path(entry.path) for entry in entries if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []


class Leases:
    """Addresses that living processes have chosen, and may not have written into a record yet."""

    def __init__(self, paths: Paths) -> None:
        self._root = Path(paths.run) / "leases"
        self._own: set[Path] = set()

    def taken(self, network: str) -> set[str]:
        """Return what other processes hold on a network; leases of dead ones are removed."""
        return self._held(network, mine=False)

    def held(self, network: str) -> set[str]:
        """Return what this process holds on a network."""
        return self._held(network, mine=True)

    def _held(self, network: str, *, mine: bool) -> set[str]:
        found = set()
        for path in _subdirectories(self._root / network):
            holder = os.getpid() if path in self._own else _holder(path)
            if holder is None:
                path.unlink(missing_ok=True)
            elif (holder == os.getpid()) == mine:
                found.add(path.name)
        return found

    def take(self, network: str, address: str) -> bool:
        """Lease an address; False when another living process has it."""
        path = self._root / network / address
        make_private(path.parent)
        temporary = path.parent / f".{os.getpid()}.{address}"
        temporary.write_text(json.dumps(identity(os.getpid())), encoding="utf-8")
        try:
            path.hardlink_to(temporary)
        except FileExistsError:
            ours = _holder(path) == os.getpid()
            self._own -= set() if ours else {path}
            return ours
        finally:
            temporary.unlink(missing_ok=True)
        self._own.add(path)
        return True

    def release(self, network: str, address: str) -> None:
        """Give an address back."""
        path = self._root / network / address
        path.unlink(missing_ok=True)
        self._own.discard(path)

    def forget(self, network: str) -> None:
        """Give back every address of a network that goes away."""
        import shutil  # noqa: PLC0415 - takes longer than most of what is done here

        shutil.rmtree(self._root / network, ignore_errors=True)
        self._own = {path for path in self._own if path.parent.name != network}


def _holder(path: Path) -> int | None:
    """Return the pid of a lease's living holder."""
    try:
        who = json.loads(path.read_bytes())
        return int(who["pid"]) if is_alive(who) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
