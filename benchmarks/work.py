"""What is measured, in the order of one round; each piece of work is one Compose command."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import BenchmarkError, Peer


@dataclass(frozen=True, slots=True)
class Work:
    """A title for the table, and the words of the command."""

    title: str
    words: tuple[str, ...]


ROUND = (
    Work("pull", ("pull", "web", "worker")),
    Work("build, cold", ("build", "--no-cache", "app")),
    Work("build, warm", ("build", "app")),
    Work("up", ("up", "-d")),
    Work("up, nothing to do", ("up", "-d")),
    Work("ps", ("ps",)),
    Work("exec", ("exec", "-T", "worker", "true")),
    Work("run --rm", ("run", "--rm", "-T", "worker", "true")),
    Work("down", ("down", "-t", "0")),
)
MEMORY = "resident while up (MB)"


def measure_round(peer: Peer, project: Path) -> dict[str, float | None]:
    """Do all the work once; milliseconds by title, None for what the peer cannot do."""
    result: dict[str, float | None] = {}
    peer.forget_images(project)
    for work in ROUND:
        if work.title == "down":
            result[MEMORY] = resident_megabytes(peer.root)
        begun = time.perf_counter()
        try:
            peer.run(project, *peer.own_words.get(work.title, work.words))
        except BenchmarkError as error:
            print(f"  {error}", flush=True)
            result[work.title] = None
        else:
            result[work.title] = (time.perf_counter() - begun) * 1000
    return result


def resident_megabytes(root: Path) -> float:
    """Return the proportional set size of what the peer keeps running, its containers left out.

    A process is the peer's when its private directory is among its arguments or environment.
    """
    own = os.readlink("/proc/self/ns/pid")  # noqa: PTH115
    total = 0
    for place in Path("/proc").glob("[0-9]*"):
        try:
            texts = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
            if f"{root}/".encode() not in texts or str((place / "ns/pid").readlink()) != own:
                continue
            rollup = (place / "smaps_rollup").read_text()
        except OSError:
            continue
        total += sum(int(row.split()[1]) for row in rollup.splitlines() if row.startswith("Pss:"))
    return total / 1000
