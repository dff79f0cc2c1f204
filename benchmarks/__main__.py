"""``python -m benchmarks``: measure every peer in turn and write the page."""

from __future__ import annotations

import argparse
import os
import shutil
import socket
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import building, images, reading, starting
from benchmarks.peers import (
    FINDERS,
    MIRROR,
    BenchmarkError,
    Peer,
    find_peers,
    image_setting,
)
from benchmarks.report import render
from benchmarks.work import measure_round

ROOT = Path(__file__).parents[1]
PROJECT = Path(__file__).parent / "project"


def free_port() -> str:
    """Return a free port on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def measure(peers: list[Peer], root: Path, rounds: int) -> dict[str, list[dict[str, float | None]]]:
    """Do the rounds, all peers within each."""
    measured: dict[str, list[dict[str, float | None]]] = {peer.name: [] for peer in peers}
    for number in range(rounds):
        for peer in peers:
            print(f"round {number + 1} of {rounds}: {peer.name}", flush=True)
            project = root / peer.name / "bench"
            if not project.exists():
                shutil.copytree(PROJECT, project)
            measured[peer.name].append(measure_round(peer, project))
    return measured


def main() -> int:
    """Find the peers, measure, write the page, and leave nothing behind."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", nargs="+", default=list(FINDERS), choices=list(FINDERS))
    parser.add_argument("--output", type=Path, default=ROOT / "docs/benchmarks.md")
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="orcb-"))
    peers: list[Peer] = []
    try:
        os.environ.update({**image_setting(), "PORT": free_port()})
        for peer in find_peers(root, os.environ, options.peers):
            peers.append(peer)  # noqa: PERF402 - what was found before one fails is stopped
        measured = measure(peers, root, options.rounds)
        versions = {peer.name: peer.version() for peer in peers}
    except BenchmarkError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        for peer in peers:
            peer.stop(root / peer.name / "bench")
        shutil.rmtree(root, ignore_errors=True)
    mirror = os.environ.get(MIRROR, "").partition("=")[2] or None
    sections = (
        starting.section(mirror, 2 * options.rounds),
        building.section(mirror, options.peers, options.rounds),
        reading.section(options.peers, options.rounds),
        images.section(options.rounds, options.peers),
    )
    today = datetime.now(tz=UTC).date()
    options.output.write_text(render(measured, versions, today, *sections))
    print(options.output.read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
