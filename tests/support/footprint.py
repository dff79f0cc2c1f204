"""What Orchestra may leave on a host, counted: taken before and after, the difference is a leak.

Processes, mounts, cgroups and files are told by the scenario's own root and project, so that other
programs on the machine do not matter; links, tables and namespaces by Orchestra's prefixes.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
STATE = ("data/volumes", "data/networks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Everything found, as text that a failing test can show."""

    processes: frozenset[str]
    mounts: frozenset[str]
    namespaces: frozenset[str]
    links: frozenset[str]
    tables: frozenset[str]
    cgroups: frozenset[str]
    files: frozenset[str]

    def since(self, before: Footprint) -> dict[str, list[str]]:
        """Return what is here and was not there ``before``, by kind."""
        grown = {
            each.name: sorted(getattr(self, each.name) - getattr(before, each.name))
            for each in fields(self)
        }
        return {kind: found for kind, found in grown.items() if found}


def take(root: Path, projects: frozenset[str]) -> Footprint:
    """Look at the host, for a scenario whose state lies below ``root``."""
    mountinfo = Path("/proc/self/mountinfo").read_text().splitlines()
    return Footprint(
        processes=frozenset(_processes(str(root), projects)),
        mounts=frozenset(line for line in mountinfo if f"{root}/" in line),
        namespaces=frozenset(_names(Path("/run/netns"))),
        links=frozenset(name for name in _names(Path("/sys/class/net")) if name.startswith("orc")),
        tables=frozenset(_tables()),
        cgroups=frozenset(_cgroups(projects)),
        files=frozenset(_files(root)),
    )


def _names(directory: Path) -> list[str]:
    try:
        return [path.name for path in directory.iterdir()]
    except FileNotFoundError:
        return []


def pids_of(root: str, projects: frozenset[str]) -> Iterator[int]:
    """Yield every live process that a scenario started: by environment, arguments or cgroup."""
    needle = f"{root}/".encode()
    groups = [f"/orchestra/{project}/".encode() for project in projects]
    for name in _names(Path("/proc")):
        if not name.isdigit() or int(name) == os.getpid():
            continue
        texts = [_read(name, file) for file in ("environ", "cmdline")]
        cgroup = _read(name, "cgroup")
        if any(needle in text for text in texts) or any(group in cgroup for group in groups):
            yield int(name)


def _read(pid: str, file: str) -> bytes:
    """Read a file of a process; empty when the process is gone or does not let itself be read."""
    try:
        return Path(f"/proc/{pid}/{file}").read_bytes()
    except OSError:
        return b""


def _processes(root: str, projects: frozenset[str]) -> Iterator[str]:
    for pid in pids_of(root, projects):
        words = _read(str(pid), "cmdline").replace(b"\0", b" ").decode(errors="replace")
        yield f"{pid} {words.strip()}"


def _tables() -> list[str]:
    done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if "orchestra" in line]


def _cgroups(projects: frozenset[str]) -> Iterator[str]:
    for directory, names, _ in os.walk(CGROUPS):
        if Path(directory).name == "orchestra":
            yield from (f"{directory}/{name}" for name in names if name in projects)


def _files(root: Path) -> Iterator[str]:
    """Yield what `down -v` must take away: containers, volumes, networks, and all of run."""
    for directory in STATE:
        yield from (f"{directory}/{name}" for name in _names(root / directory))
    for path in (root / "data").glob("projects/*/containers/*"):
        yield str(path.relative_to(root))
    for path in (root / "run").rglob("*"):
        if not path.is_dir() and not path.name.endswith("lock"):
            yield str(path.relative_to(root))
