"""What a scenario has on this host, counted: after it was taken down, anything found is a leak.

Everything is told by the scenario's own root and projects: processes by environment, arguments and
cgroup, links and tables by names that carry a hash of the data directory. So other programs on
the machine, other Orchestras among them, do not matter.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orchestra.engine.network.naming import bridge_name, table_name, veth_name

CGROUPS = Path("/sys/fs/cgroup")
LINKS = Path("/sys/class/net")
BUILD_NETWORK = "orchestra_build"


@dataclass(slots=True)
class Footprint:
    """One state root, and what was ever seen below it."""

    root: Path
    projects: set[str]
    networks: set[str] = field(default_factory=lambda: {BUILD_NETWORK})
    containers: set[str] = field(default_factory=set)

    def remember(self) -> None:
        """Note the networks and containers that there are now: their links carry their names."""
        networks = _entries(self.root / "data/networks")
        self.networks |= {path.stem for path in networks if path.suffix == ".json"}
        self.containers |= {path.name for path in self._containers()}

    def found(self) -> dict[str, list[str]]:
        """Return all that is there, by kind; kinds with nothing are left out."""
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
        everything = {
            "processes": [f"{pid} {_words(pid)}" for pid in self.pids()],
            "mounts": [line.split()[4] for line in mounts if f"{self.root}/" in line],
            "links": sorted(self._links() & {path.name for path in LINKS.iterdir()}),
            "tables": [line for line in _tables() if line.split()[-1] in self._table_names()],
            "cgroups": list(self._cgroups()),
            "files": sorted(self._files()),
        }
        return {kind: things for kind, things in everything.items() if things}

    def pids(self) -> Iterator[int]:
        """Yield every live process that was started for the scenario."""
        needle = f"{self.root}/".encode()
        groups = [f"/orchestra/{project}/".encode() for project in self.projects]
        for place in Path("/proc").glob("[0-9]*"):
            if int(place.name) == os.getpid():
                continue
            texts = [_read(place / file) for file in ("environ", "cmdline")]
            cgroup = _read(place / "cgroup")
            if any(needle in text for text in texts) or any(group in cgroup for group in groups):
                yield int(place.name)

    def _links(self) -> set[str]:
        data = f"{self.root}/data"
        ends = {
            veth_name(data, container, network, number)
            for container in self.containers
            for network in self.networks
            for number in range(3)
        }
        return ends | {bridge_name(data, network) for network in self.networks}

    def _table_names(self) -> set[str]:
        owners = (*self.projects, BUILD_NETWORK, "")
        return {table_name(f"{self.root}/data", owner) for owner in owners}

    def _cgroups(self) -> Iterator[str]:
        for directory, names, _ in os.walk(CGROUPS):
            if Path(directory).name == "orchestra":
                yield from (f"{directory}/{name}" for name in names if name in self.projects)

    def _files(self) -> Iterator[str]:
        """Yield what ``down -v`` must take away: containers, volumes, networks, all of run."""
        durable = [
            path for kind in ("volumes", "networks") for path in _entries(self.root / "data" / kind)
        ]
        yield from (str(path.relative_to(self.root)) for path in (*durable, *self._containers()))
        for directory, _, names in os.walk(self.root / "run"):
            for path in (Path(directory, name) for name in names):
                inner = path.relative_to(self.root)
                if "locks" not in inner.parts and inner.suffix != ".lock":
                    yield str(inner)

    def _containers(self) -> Iterator[Path]:
        for project in _entries(self.root / "data/projects"):
            yield from _entries(project / "containers")


def _entries(directory: Path) -> list[Path]:
    """List a directory, which may go at any moment."""
    try:
        return list(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _read(path: Path) -> bytes:
    """Read a file of a process; empty when the process is gone or does not let itself be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _words(pid: int) -> str:
    return _read(Path(f"/proc/{pid}/cmdline")).replace(b"\0", b" ").decode(errors="replace").strip()


def _tables() -> list[str]:
    done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()
