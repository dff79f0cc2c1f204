"""The table of docs/benchmarks.md."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

from benchmarks.work import MEMORY, ROUND

Measured = Mapping[str, Sequence[Mapping[str, float | None]]]
"""Rounds by peer; orchestra is the first."""

HEAD = """\
# Benchmarks

The same work done by Orchestra and by each peer found on one machine, in one run, round by round
in turn: medians in milliseconds, and in brackets how many times Orchestra's. Absolute times belong
to the machine; only the ratios last. `make bench` writes this page.

The work is `benchmarks/project`: two pulled services and a built one, a volume, a published port.
*Resident* is the proportional set size of everything the tool itself keeps running while the
project is up: daemons, shims, supervisors, proxies; not the containers.
"""


def median(rounds: Sequence[Mapping[str, float | None]], title: str) -> float | None:
    """Return the median over the rounds in which the work succeeded."""
    values = [value for each in rounds if (value := each.get(title)) is not None]
    return statistics.median(values) if values else None


def _cell(value: float | None, base: float | None) -> str:
    if value is None:
        return "fails"
    number = f"{value:.1f}" if value < 10 else f"{value:.0f}"
    return f"{number} ({value / base:.1f}x)" if base else number


def _machine() -> str:
    cores = Path("/proc/cpuinfo").read_text().count("processor\t")
    return f"Linux {platform.release()}, {cores} cores, Python {platform.python_version()}"


def render(measured: Measured, versions: Mapping[str, str], today: date) -> str:
    """Write the page."""
    peers = list(measured)
    first = peers[0]
    rows = [f"| | {' | '.join(peers)} |", f"|---|{'---|' * len(peers)}"]
    for title in (*(work.title for work in ROUND), MEMORY):
        base = median(measured[first], title)
        cells = [_cell(base, None)]
        cells += [_cell(median(measured[peer], title), base) for peer in peers[1:]]
        rows.append(f"| {title} | {' | '.join(cells)} |")
    facts = [
        f"{today.isoformat()}, {_machine()}, {len(measured[first])} rounds.",
        *(f"{peer}: {versions[peer]}." for peer in peers),
    ]
    return "\n".join((HEAD, *rows, "", *(f"- {fact}" for fact in facts), ""))
