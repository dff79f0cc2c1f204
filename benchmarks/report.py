"""The table of docs/benchmarks.md."""

from __future__ import annotations

import platform
import statistics
from collections.abc import Iterable, Mapping, Sequence
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


READING = """\
## Reading files

`config` prints the whole project; the time is that of the process, from start to exit. The files
are made by `benchmarks/reading.py`; only the sample is `examples/compose_example`. Docker Compose
reads no file of more than 100,000 YAML nodes, so the services that come in tens of thousands are
short.
"""


STARTING = """\
## Starting containers

*Until the program runs*: from the request to the first line of the container's program. Ours by the
engine's own interface, with the project's launcher at work; theirs by `docker run -d`, and by
`crun run` of a ready bundle, which has no network but loopback and no cgroup. A tenth of a second
lies between two of them, so that the kernel has taken down what the last one left; ours has made a
part of the next one by then. After a whole second nothing of ours is warm any more. *Of a container
that is there*: it has been created before (`docker start`). *Of a bundle that is there*: all of it
is written down, and our launcher is asked, as crun is. *run* and *exec* are whole commands: ours
those of Compose, docker's its own; before them, too, lies a tenth of a second. Milliseconds but for
what is resident.
"""


IMAGES = """\
## Pulling images

From a registry on loopback (Debian's, without TLS) until every layer is unpacked and the image has
its name. The images are made of this machine's /usr by `benchmarks/images.py`. *Processor time* is
that of the command and, where a daemon does the work, of the daemon and all that it starts; *peak
memory* that of a command that does its work itself. Milliseconds but for memory.
"""


def images_section(measured: Measured, titles: Iterable[str], rounds: int) -> str:
    """Return the section on pulling images."""
    return "\n".join((IMAGES, *_table(measured, titles), "", f"- {rounds} rounds.", ""))


BUILDING = """\
## Building images

Whole commands, from start to exit, base images being there. `orchestra build` and `docker compose
build` read a Compose file first; `orchestra image build` and `docker build` take the directory
alone. Theirs is BuildKit as dockerd has it; docker compose takes the classic builder where there is
no buildx. What npm fetches for the sample's backend comes from a cache on the machine. *Never seen
before*: 200 directories of 100 files of 2 KiB, copied into one layer.
"""


def building_section(measured: Measured, titles: Iterable[str], rounds: int) -> str:
    """Return the section on building images."""
    return "\n".join((BUILDING, *_table(measured, titles), "", f"- {rounds} rounds.", ""))


def starting_section(measured: Measured, titles: Iterable[str], rounds: int) -> str:
    """Return the section on starting containers."""
    note = f"- {rounds} rounds; of what is done with 50 containers or more, one."
    return "\n".join((STARTING, *_table(measured, titles), "", note, ""))


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


def _table(measured: Measured, titles: Iterable[str]) -> list[str]:
    peers = list(measured)
    rows = [f"| | {' | '.join(peers)} |", f"|---|{'---|' * len(peers)}"]
    for title in titles:
        if not any(title in each for peer in peers for each in measured[peer]):
            continue  # nobody was asked
        base = median(measured[peers[0]], title)
        cells = [_cell(base, None)]
        for peer in peers[1:]:
            asked = any(title in each for each in measured[peer])
            cells.append(_cell(median(measured[peer], title), base) if asked else "")
        rows.append(f"| {title} | {' | '.join(cells)} |")
    return rows


def reading_section(
    measured: Measured,
    titles: Iterable[str],
    growth: Mapping[str, float | None],
    rounds: int,
) -> str:
    """Return the section on reading files; ``growth``: ten times the services cost so much more."""
    facts = [
        f"{name}: ten times the services of four lines take {times:.1f} times as long."
        for name, times in growth.items()
        if times is not None
    ]
    facts.append(f"{rounds} rounds.")
    return "\n".join((READING, *_table(measured, titles), "", *(f"- {fact}" for fact in facts), ""))


def render(measured: Measured, versions: Mapping[str, str], today: date, *sections: str) -> str:
    """Write the page; ``sections`` are those after the first."""
    peers = list(measured)
    facts = [
        f"{today.isoformat()}, {_machine()}, {len(measured[peers[0]])} rounds.",
        *(f"{peer}: {versions[peer]}." for peer in peers),
    ]
    rows = _table(measured, (*(work.title for work in ROUND), MEMORY))
    lines = (HEAD, *rows, "", *(f"- {fact}" for fact in facts), "")
    return "\n".join((*lines, *sections))
