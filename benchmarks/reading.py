"""Reading Compose files: ``config``, from the program's start to its exit, on files made here.

``python -m benchmarks.reading`` prints this section of the page alone; it needs no root and
starts no daemon.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers import compose_binary, plain_environment
from benchmarks.report import Measured, median, reading_section

SAMPLE = Path(__file__).parents[1] / "examples/compose_example"
PATIENCE_SECONDS = 120.0

SMALL = "the sample, 3 services"
AGAIN = "the sample, unchanged since it was read before"
THOUSAND = "1,000 services"
SLIM_THOUSAND = "1,000 services of four lines"
SLIM_TEN_THOUSAND = "10,000 services of four lines"


@dataclass(frozen=True, slots=True)
class Reader:
    """A program, and the words before ``config``."""

    name: str
    argv: tuple[str, ...]


def find_readers(names: Sequence[str]) -> list[Reader]:
    """Return the named programs that are on this machine; none of them needs its engine here."""
    compose = compose_binary() if "docker" in names else None
    found = {
        "orchestra": str(Path(sys.executable).with_name("orchestra")),
        "docker": compose,
        "podman": shutil.which("podman-compose"),
    }
    return [Reader(name, (argv,)) for name in names if (argv := found[name])]


def write_files(directory: Path) -> Mapping[str, Path]:
    """Write one project for each title, and return its file."""
    small = directory / "sample"
    shutil.copytree(SAMPLE, small)
    files = {SMALL: small / "compose.yaml", AGAIN: small / "compose.yaml"}
    for title, count, service in (
        (THOUSAND, 1_000, full_service),
        (SLIM_THOUSAND, 1_000, slim_service),
        (SLIM_TEN_THOUSAND, 10_000, slim_service),
    ):
        place = directory / f"{service.__name__}-{count}"
        place.mkdir()
        files[title] = place / "compose.yaml"
        services = "".join(service(number) for number in range(count))
        files[title].write_text(f"name: large\nservices:\n{services}{SHARED}")
    return files


SHARED = """\
networks: {front: {}, back: {}}
volumes: {data: {}}
"""


def slim_service(number: int) -> str:
    """Return a service of four lines: docker compose reads 100,000 YAML nodes and no more."""
    return f"""\
  service-{number}:
    image: registry.example.com/team/service:{number}
    networks: [back]
    restart: unless-stopped
"""


def full_service(number: int) -> str:
    """Return a service with what services commonly have: short forms, a variable, a dependency."""
    return f"""\
  service-{number}:
    image: registry.example.com/team/service:1.{number}
    command: [serve, --id, "{number}"]
    restart: unless-stopped
    environment:
      SERVICE_NAME: service-{number}
      LOG_LEVEL: ${{LOG_LEVEL:-info}}
      DATABASE_URL: postgres://db:5432/service_{number}
    labels:
      com.example.team: team-{number % 7}
    networks: [front, back]
    ports: ["{10_000 + number}:80"]
    volumes: [data:/var/lib/data, ./conf/{number}:/etc/service:ro]
    healthcheck:
      test: [CMD, wget, -q, -O-, http://localhost/]
      interval: 10s
      retries: 3
    deploy:
      resources:
        limits: {{cpus: "0.5", memory: 128M}}
    depends_on: {{{f"service-{number // 2}: {{condition: service_healthy}}" if number else ""}}}
"""


def measure_reading(names: Sequence[str], rounds: int) -> Measured:
    """Do the rounds, all programs within each file; milliseconds by title, None for a failure."""
    readers = find_readers(names)
    measured: dict[str, list[dict[str, float | None]]] = {each.name: [] for each in readers}
    with tempfile.TemporaryDirectory(prefix="orcb-read-") as root:
        files = write_files(Path(root))
        for number in range(-1, rounds):  # the first one only warms the caches
            results: dict[str, dict[str, float | None]] = {each.name: {} for each in readers}
            for title, file in files.items():
                print(f"reading {number + 1} of {rounds}: {title}", file=sys.stderr, flush=True)
                memory = Path(root) / "memory"
                if title != AGAIN:  # nothing is remembered of it
                    shutil.rmtree(memory, ignore_errors=True)
                for reader in readers:
                    results[reader.name][title] = _once(reader, file, memory)
            for name, result in results.items():
                measured[name] += [result] if number >= 0 else []
    return measured


def _once(reader: Reader, file: Path, memory: Path) -> float | None:
    begun = time.perf_counter()
    try:
        subprocess.run(
            [*reader.argv, "-f", str(file), "config"],
            cwd=file.parent,
            env={**plain_environment(), "ORCHESTRA_DATA": str(memory)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE_SECONDS,
            check=True,
        )
    except subprocess.CalledProcessError as error:
        reason = (error.stderr.decode().strip().splitlines() or ["no reason given"])[-1]
    except subprocess.TimeoutExpired:
        reason = f"not done in {PATIENCE_SECONDS:.0f} s"
    else:
        return (time.perf_counter() - begun) * 1000
    print(f"  {reader.name}: {reason}", file=sys.stderr, flush=True)
    return None


def growth(measured: Measured, name: str) -> float | None:
    """Return how many times the cost of 1,000 services 10,000 of the same kind have."""
    less, more = (median(measured[name], each) for each in (SLIM_THOUSAND, SLIM_TEN_THOUSAND))
    return more / less if less and more else None


def section(names: Sequence[str], rounds: int) -> str:
    """Measure, and return the section of the page."""
    measured = measure_reading(names, rounds)
    titles = (SMALL, AGAIN, THOUSAND, SLIM_THOUSAND, SLIM_TEN_THOUSAND)
    return reading_section(
        measured, titles, {name: growth(measured, name) for name in measured}, rounds
    )


def main() -> None:
    """Print the section."""
    parser = argparse.ArgumentParser(prog="benchmarks.reading", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peers", nargs="+", default=["orchestra", "docker"])
    options = parser.parse_args()
    print(section(options.peers, options.rounds))


if __name__ == "__main__":
    main()
