"""Building images: nothing changed, one file changed, everything anew, stages side by side, and a
context of 20,000 files.

``python -m benchmarks.building`` prints this section of the page alone. Every program builds its
own copy of what is built, and no two of them the same content, so none finds another's steps.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.packages import npm_registry
from benchmarks.peers import (
    MIRROR,
    BenchmarkError,
    Peer,
    find_docker,
    find_orchestra,
    image_setting,
    plain_environment,
)
from benchmarks.report import Measured, building_section
from benchmarks.starting import milliseconds

BACKEND = Path(__file__).parents[1] / "examples/compose_example/backend"
DIRECTORIES, FILES_EACH, FILE_BYTES = 200, 100, 2048
PATIENCE_SECONDS = 300.0

COLD = "the sample's backend, without cache"
WARM = "nothing changed"
CHANGED = "one source file changed"
FAN = "four stages, each of which sleeps for a second"
MANY = "20,000 files, never seen before"
MANY_AGAIN = "20,000 files, none changed"
MANY_CHANGED = "20,000 files, one changed"
TITLES = (WARM, CHANGED, COLD, FAN, MANY, MANY_AGAIN, MANY_CHANGED)

FAN_DOCKERFILE = """\
FROM busybox AS base
ARG MADE_FOR
{stages}
FROM base
{copies}
"""
MANY_DOCKERFILE = """\
FROM busybox
COPY . /src
"""
COMPOSE = """\
name: {name}
services:
  app:
    image: {image}
    build: {context}
"""


@dataclass(frozen=True, slots=True)
class Builder:
    """A way to build a directory: by Compose's command, or by one that takes the directory."""

    name: str
    peer: Peer
    argv: tuple[str, ...]
    composed: bool

    def build(self, project: Path, *, fresh: bool = False) -> float:
        """Build what is in ``project``/context; return the milliseconds.

        :raises BenchmarkError: when it fails.
        """
        options = ("--no-cache",) if fresh else ()
        if self.composed:
            words = ("build", *options)
        else:
            words = (*options, "-t", f"{project.name}-image", str(context_of(project)))
        begun = time.perf_counter()
        done = subprocess.run(
            [*self.argv, *words],
            cwd=project,
            env=plain_environment() | self.peer.environment | {"DOCKER_BUILDKIT": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        taken = milliseconds(begun)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-5:]
            raise BenchmarkError(f"{self.name}: {' '.join(words)}: {' / '.join(last)}")
        return taken


def context_of(project: Path) -> Path:
    """Return the directory to build: BuildKit knows those it has seen by their last name."""
    return project / f"{project.name}-context"


def docker_cli() -> str | None:
    """Return a docker command line that can ask for BuildKit: old, or with its buildx."""
    for found in dict.fromkeys((shutil.which("docker"), "/usr/bin/docker")):
        if found is None or not Path(found).exists():
            continue
        version = subprocess.run([found, "--version"], capture_output=True, text=True, check=False)
        major = version.stdout.removeprefix("Docker version ").partition(".")[0]
        buildx = subprocess.run([found, "buildx", "version"], capture_output=True, check=False)
        if (major.isdecimal() and int(major) < 23) or buildx.returncode == 0:
            return found
    return None


@contextlib.contextmanager
def builders_in(root: Path, mirror: str | None, names: Sequence[str]) -> Iterator[list[Builder]]:
    """Find the programs; each of the two has two ways to build."""
    peers: list[Peer] = []
    found: list[Builder] = []
    try:
        for name, find in (("orchestra", find_orchestra), ("docker", find_docker)):
            (root / name).mkdir()
            if name not in names or (peer := find(root / name, mirror)) is None:
                continue
            peers.append(peer)
            plain = (*peer.compose, "image", "build")
            if name == "docker":
                cli = docker_cli()
                plain = (cli, "build") if cli else ()
            compose = f"{name} build" if name == "orchestra" else "docker compose build"
            found.append(Builder(compose, peer, peer.compose, composed=True))
            if plain:
                if name == "orchestra":  # steps that both ways share are done anew by each
                    (root / "alone").mkdir()
                    peer = find_orchestra(root / "alone", mirror)
                    peers.append(peer)
                title = "orchestra image build" if name == "orchestra" else "docker build"
                found.append(Builder(title, peer, plain, composed=False))
        yield found
    finally:
        for peer in peers:
            peer.stop(peer.root / "none")


class Work:
    """What one builder builds, in a directory of its own."""

    def __init__(self, root: Path, builder: Builder, number: int, registry: str | None) -> None:
        self.builder = builder
        self.number = number
        self.mark = f"builder {number}"
        self.projects = {kind: root / f"{kind}-{number}" for kind in ("backend", "fan", "many")}
        for kind, project in self.projects.items():
            project.mkdir()
            context = context_of(project)
            (project / "compose.yaml").write_text(
                COMPOSE.format(
                    name=f"bench-{kind}", image=f"{project.name}:latest", context=context
                )
            )
        self._write_backend(context_of(self.projects["backend"]), registry)
        self._write_fan(context_of(self.projects["fan"]))

    def _write_backend(self, context: Path, registry: str | None) -> None:
        shutil.copytree(BACKEND, context)
        dockerfile = context / "Dockerfile"
        text = dockerfile.read_text()
        if registry:
            text = text.replace("\nRUN npm", f"\nENV npm_config_registry={registry}\nRUN npm", 1)
        dockerfile.write_text(f"{text}LABEL made.for={self.mark!r}\n")
        with (context / "package.json").open("a") as file:
            file.write("\n" * self.number)

    def _write_fan(self, context: Path) -> None:
        context.mkdir()
        stages = "\n".join(
            f'FROM base AS stage{n}\nRUN sleep 1; echo "{self.mark}" > /made{n}' for n in range(4)
        )
        copies = "\n".join(f"COPY --from=stage{n} /made{n} /" for n in range(4))
        (context / "Dockerfile").write_text(FAN_DOCKERFILE.format(stages=stages, copies=copies))

    def write_many(self, salt: int) -> None:
        """Write 20,000 files that nobody has seen."""
        context = context_of(self.projects["many"])
        shutil.rmtree(context, ignore_errors=True)
        content = random.Random(f"{self.mark} {salt}")
        for directory in range(DIRECTORIES):
            place = context / f"part{directory:03}"
            place.mkdir(parents=True)
            for file in range(FILES_EACH):
                (place / f"file{file:03}.js").write_bytes(content.randbytes(FILE_BYTES))
        (context / "Dockerfile").write_text(MANY_DOCKERFILE)

    def change(self, file: str, salt: int) -> None:
        """Add a line to a file."""
        kind, _, name = file.partition("/")
        with (context_of(self.projects[kind]) / name).open("a") as opened:
            opened.write(f"// {self.mark}, {salt}\n")

    def steps(self, salt: int, titles: Sequence[str]) -> Iterator[tuple[str, float | None]]:
        """Do what the titles name, in order, all the rest on the way; milliseconds by title."""
        backend, fan, many = (self.projects[kind] for kind in ("backend", "fan", "many"))
        order: tuple[tuple[str, Path, bool, Callable[[], None] | None], ...] = (
            (COLD, backend, True, None),
            (WARM, backend, False, None),
            (CHANGED, backend, False, lambda: self.change("backend/server.js", salt)),
            (FAN, fan, True, None),
            (MANY, many, False, lambda: self.write_many(salt)),
            (MANY_AGAIN, many, False, None),
            (MANY_CHANGED, many, False, lambda: self.change("many/part007/file007.js", salt)),
        )
        for title, project, fresh, prepare in order:
            if title not in titles:
                continue
            if project == many and not context_of(many).exists():
                self.write_many(salt)
            if prepare is not None:
                prepare()
            yield title, self._tried(project, fresh=fresh)

    def _tried(self, project: Path, *, fresh: bool) -> float | None:
        try:
            return self.builder.build(project, fresh=fresh)
        except BenchmarkError as error:
            print(f"  {error}", file=sys.stderr, flush=True)
            return None


def measure_building(
    mirror: str | None, names: Sequence[str], rounds: int, titles: Sequence[str] = TITLES
) -> Measured:
    """Do the rounds, the builders in turn within each piece of work; milliseconds by title."""
    measured: dict[str, list[dict[str, float | None]]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="orcb-") as place,
        npm_registry() as registry,
        builders_in(Path(place), mirror, names) as builders,
    ):
        works = [
            Work(Path(place), builder, number, registry) for number, builder in enumerate(builders)
        ]
        for salt in range(-1, rounds):  # the first one fetches what is fetched once
            print(f"building: round {salt + 1} of {rounds}", file=sys.stderr, flush=True)
            results: list[dict[str, float | None]] = [{} for _ in works]
            for parts in zip(*(work.steps(salt, titles) for work in works), strict=True):
                for result, (title, taken) in zip(results, parts, strict=True):
                    result[title] = taken
            if salt >= 0:
                for builder, result in zip(builders, results, strict=True):
                    measured.setdefault(builder.name, []).append(result)
    return measured


def section(mirror: str | None, names: Sequence[str], rounds: int) -> str:
    """Measure, and return the section of the page."""
    return building_section(measure_building(mirror, names, rounds), TITLES, rounds)


def main() -> None:
    """Print the section."""
    parser = argparse.ArgumentParser(prog="benchmarks.building", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", nargs="+", default=["orchestra", "docker"])
    parser.add_argument("--only", nargs="+", default=list(TITLES), choices=list(TITLES))
    options = parser.parse_args()
    os.environ.update(image_setting())
    mirror = os.environ.get(MIRROR, "").partition("=")[2] or None
    measured = measure_building(mirror, options.peers, options.rounds, options.only)
    print(building_section(measured, options.only, options.rounds))


if __name__ == "__main__":
    main()
