"""Starting containers: one until its program runs, whole commands, fifty and two hundred at once.

``python -m benchmarks.starting`` prints this section of the page alone. A program says that it
runs by writing into a FIFO of the host that is bound into its container.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path

import anyio

from benchmarks.peers import FINDERS, MIRROR, BenchmarkError, Peer, image_setting
from benchmarks.report import Measured, starting_section
from benchmarks.work import resident_megabytes
from orchestra.engine.clock import SystemClock
from orchestra.engine.container.launching import LauncherClient
from orchestra.engine.container.lifecycle import Containers
from orchestra.engine.events import Event
from orchestra.engine.wiring import Machine, open_machine
from orchestra.errors import ContainerError
from orchestra.planner.desired import ContainerSpec, Mount, MountKind
from orchestra.values import replace

TO_PROGRAM = "until the program runs"
FROM_START = "the same, of a container that is there"
BUNDLE = "the same, of a bundle that is there"
RESTED = "until the program runs, after a second of rest"
RUN = "run --rm"
EXEC = "exec"
FIFTY = "50 containers up"
RESIDENT = "resident for 50 idle containers (MB)"
FIFTY_DOWN = "50 containers down"
TWO_HUNDRED = "200 containers up"
TWO_HUNDRED_DOWN = "200 containers down"
TITLES = (
    TO_PROGRAM, FROM_START, BUNDLE, RESTED,
    RUN, EXEC, FIFTY, RESIDENT, FIFTY_DOWN, TWO_HUNDRED, TWO_HUNDRED_DOWN,
)  # fmt: skip
COMPOSE = """\
name: start
services:
  idle:
    image: busybox
    command: [sleep, "100000"]
    stop_signal: SIGKILL
"""
SAY = ("sh", "-c", "echo >/fifo; exec sleep 100000")
PATIENCE_SECONDS = 20.0
PAUSE_SECONDS = 0.1
"""Before a start: the kernel takes the last one's namespaces and cgroups down meanwhile."""
REST_SECONDS = 1.0
"""After so long nothing of ours is warm."""


class Fifo:
    """Where a program says that it runs."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            os.mkfifo(path)
        self.path = str(path)
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def wait(self) -> float:
        """Return when it was said.

        :raises BenchmarkError: when it is not.
        """
        if not select.select([self.fd], [], [], PATIENCE_SECONDS)[0]:
            raise BenchmarkError("the program does not run")
        now = time.perf_counter()
        os.read(self.fd, 4096)
        return now


def milliseconds(begun: float, ended: float | None = None) -> float:
    return ((time.perf_counter() if ended is None else ended) - begun) * 1000


class Ours:
    """Our engine in this process, as a supervisor or a long-lived program would use it."""

    def __init__(self, peer: Peer, fifo: Fifo, name: str) -> None:
        self._machine: Machine = open_machine(peer.environment, uid=0)
        self._fifo = fifo
        self._name = name
        self._number = 0

    async def once(self) -> tuple[float, float]:
        """Create and start a container of its project's network; return both times to its line."""
        spec, begun = self._spec(), time.perf_counter()
        container_id = await self._machine.create_one_off(spec, _unheard, aliases=False)
        made = time.perf_counter()
        ended = await self._until_it_runs(partial(self._machine.start, spec))
        await self._end(container_id)
        return milliseconds(begun, ended), milliseconds(made, ended)

    async def launched(self) -> float:
        """Have the launcher start a container of which all is written down; return that time."""
        machine = self._machine
        container_id = await machine.create_one_off(self._spec(), _unheard, aliases=False)
        record = machine.store.container("start", container_id)
        assert record is not None
        start = Containers(machine.paths, machine.store, SystemClock()).prepare(record)
        launcher, begun = LauncherClient.of(machine.paths, "start"), time.perf_counter()
        ask = partial(launcher.start, start.request, plain=container_id)
        ended = await self._until_it_runs(ask)
        await self._end(container_id)
        return milliseconds(begun, ended)

    def _spec(self) -> ContainerSpec:
        state = self._machine.store.wished("start").state
        assert state is not None
        self._number += 1
        mount = Mount(kind=MountKind.BIND, source=self._fifo.path, target="/fifo")
        return replace(
            state.containers[0],
            name=f"start-run-{self._name}-{self._number}",
            command=SAY,
            mounts=(mount,),
        )

    async def _until_it_runs(self, start: Callable[[], Coroutine[None, None, object]]) -> float:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start)
            ended = await anyio.to_thread.run_sync(self._fifo.wait)
        return ended  # noqa: RET504 - mypy holds the block for one that may swallow

    async def _end(self, container_id: str) -> None:
        await self._machine.kill("start", container_id, "SIGKILL")
        await _until(lambda: self._machine.remove("start", container_id))


def _unheard(_event: Event) -> None:
    """Be told, and say nothing."""


async def _until(action: Callable[[], Awaitable[None]]) -> None:
    """Do it as soon as it can be done."""
    for _ in range(500):
        with contextlib.suppress(ContainerError):
            await action()
            return
        await anyio.sleep(0.01)
    raise BenchmarkError("a container does not end")


def once_docker(peer: Peer, fifo: Fifo) -> tuple[float, float]:
    """Run a container by docker's command line, and start one that it has created.

    Return the times until their programs ran.
    """
    times = []
    for verbs in (("run", "-d"), ("create",)):
        begun = time.perf_counter()
        made = _docker(peer, *verbs, "-v", f"{fifo.path}:/fifo", "busybox", *SAY)
        if verbs == ("create",):
            begun = time.perf_counter()
            _docker(peer, "start", made)
        times.append(milliseconds(begun, fifo.wait()))
        _docker(peer, "rm", "-f", made)
    return times[0], times[1]


def _docker(peer: Peer, *words: str) -> str:
    done = subprocess.run(
        ["docker", *words],
        env=os.environ | peer.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if done.returncode:
        raise BenchmarkError(f"docker {words[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def write_bundle(bundle: Path, fifo: Fifo, like: Path) -> None:
    """Write a bundle for crun with the same namespaces and walls as a container of ours."""
    root = bundle / "rootfs"
    for name in ("bin", "proc", "sys", "dev", "etc", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    for name in ("sh", "sleep", "echo"):
        (root / "bin" / name).symlink_to("busybox")
    config = json.loads(like.read_text())
    config["process"]["args"] = list(SAY)
    config["process"].pop("rlimits", None)
    config["root"] = {"path": "rootfs"}
    for part in ("cgroupsPath", "resources"):
        config["linux"].pop(part, None)
    config["linux"]["namespaces"].append({"type": "network"})
    config["mounts"] = [
        *(
            mount
            for mount in config["mounts"]
            if mount.get("type") != "cgroup" and not mount["destination"].startswith("/etc/")
        ),
        {"destination": "/fifo", "source": fifo.path, "options": ["bind"]},
    ]
    (bundle / "config.json").write_text(json.dumps(config))


def once_crun(bundle: Path, fifo: Fifo, number: int) -> float:
    """Run the bundle; return the time until its program ran."""
    time.sleep(PAUSE_SECONDS)
    crun = ["crun", "--root", f"{bundle}/state", "--cgroup-manager=disabled"]
    begun = time.perf_counter()
    run = [*crun, "run", "-d", "-b", str(bundle), f"orcb-{number}"]
    null = subprocess.DEVNULL  # the container has it as long as it lives
    subprocess.run(run, stdin=null, stdout=null, stderr=null, check=True)
    ended = fifo.wait()
    subprocess.run([*crun, "delete", "-f", f"orcb-{number}"], check=True)
    return milliseconds(begun, ended)


def crun_series(bundle: Path, fifo: Fifo, rounds: int) -> list[float]:
    """Do the rounds where crun finds v2 alone: it refuses to run on a hybrid host."""
    alone = 'mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"'
    done = subprocess.run(
        [
            *("unshare", "-m", "sh", "-c", alone, "sh"),
            *(sys.executable, "-m", "benchmarks.starting"),
            *("--crun", str(bundle), "--fifo", fifo.path, "--rounds", str(rounds)),
        ],
        stdout=subprocess.PIPE,
        check=True,
    )
    found: list[float] = json.loads(done.stdout)
    return found


def timed(peer: Peer, directory: Path, *words: str) -> float | None:
    """Return how long one Compose command takes, None when it fails."""
    time.sleep(PAUSE_SECONDS)
    begun = time.perf_counter()
    try:
        peer.run(directory, *words)
    except BenchmarkError as error:
        print(f"  {error}", file=sys.stderr, flush=True)
        return None
    return milliseconds(begun)


def many(peer: Peer, directory: Path, count: int) -> tuple[float | None, float | None, float]:
    """Bring so many up and down; return both times, and what is resident in between."""
    up = timed(peer, directory, "up", "-d", "--scale", f"idle={count}")
    time.sleep(1)
    megabytes = resident_megabytes(peer.root)
    return up, timed(peer, directory, "down", "-t", "0"), megabytes


def measure_ours(
    peer: Peer, directory: Path, fifo: Fifo, rounds: int
) -> list[dict[str, float | None]]:
    async def starts(pause: float) -> list[tuple[float, float]]:
        ours, found = Ours(peer, fifo, f"{pause}"), []
        for _ in range(rounds):
            await anyio.sleep(pause)
            found.append(await ours.once())
        return found

    async def launches() -> list[float]:
        ours, found = Ours(peer, fifo, "launched"), []
        for _ in range(rounds):
            await anyio.sleep(PAUSE_SECONDS)
            found.append(await ours.launched())
        return found

    peer.run(directory, "up", "-d")
    rested = anyio.run(starts, REST_SECONDS)
    starts_of = anyio.run(starts, PAUSE_SECONDS), anyio.run(launches), rested
    found = _whole(peer, directory, starts_of, rounds)
    peer.run(directory, "down", "-t", "0")
    return found


def _whole(
    peer: Peer,
    directory: Path,
    starts: tuple[list[tuple[float, float]], list[float], list[tuple[float, float]]],
    rounds: int,
) -> list[dict[str, float | None]]:
    """Measure whole commands; return all of a round together."""
    usual, launched, rested = starts
    return [
        {
            TO_PROGRAM: usual[number][0],
            FROM_START: usual[number][1],
            BUNDLE: launched[number],
            RESTED: rested[number][0],
            RUN: timed(peer, directory, "run", "--rm", "-T", "idle", "true"),
            EXEC: timed(peer, directory, "exec", "-T", "idle", "true"),
        }
        for number in range(rounds)
    ]


def measure_docker(
    peer: Peer, directory: Path, fifo: Fifo, rounds: int
) -> list[dict[str, float | None]]:
    """Measure docker's own command line, which has less to read than Compose."""
    peer.run(directory, "up", "-d")
    name = _docker(peer, "ps", "-q").splitlines()[0]
    found: list[dict[str, float | None]] = []
    for _ in range(rounds):
        time.sleep(PAUSE_SECONDS)
        whole, start = once_docker(peer, fifo)
        time.sleep(REST_SECONDS)
        rested, _ = once_docker(peer, fifo)
        times: dict[str, float | None] = {TO_PROGRAM: whole, FROM_START: start, RESTED: rested}
        for title, words in ((RUN, ("run", "--rm", "busybox")), (EXEC, ("exec", name))):
            time.sleep(PAUSE_SECONDS)
            begun = time.perf_counter()
            _docker(peer, *words, "true")
            times[title] = milliseconds(begun)
        found.append(times)
    peer.run(directory, "down", "-t", "0")
    return found


@contextlib.contextmanager
def peers_in(root: Path, mirror: str | None) -> Iterator[tuple[Peer, Peer | None]]:
    """Find Orchestra and, where there is one, Docker; each has the project at hand."""
    found: dict[str, Peer] = {}
    try:
        for name in ("orchestra", "docker"):
            (root / name / "start").mkdir(parents=True)
            (root / name / "start/compose.yaml").write_text(COMPOSE)
            if (peer := FINDERS[name](root / name, mirror)) is not None:
                found[name] = peer
        yield found["orchestra"], found.get("docker")
    finally:
        for peer in found.values():
            peer.stop(peer.root / "start")


def measure_starting(mirror: str | None, rounds: int, *, few: bool = False) -> Measured:
    """Measure everything, ``few``: without two hundred; milliseconds by title and round."""
    measured: dict[str, list[dict[str, float | None]]] = {}
    with tempfile.TemporaryDirectory(prefix="orcb-") as place:
        root = Path(place)
        fifo = Fifo(root / "fifo")
        with peers_in(root, mirror) as (ours, docker):
            print("starting: orchestra", file=sys.stderr, flush=True)
            measured["orchestra"] = measure_ours(ours, ours.root / "start", fifo, rounds)
            if docker is not None:
                print("starting: docker", file=sys.stderr, flush=True)
                where = docker.root / "start"
                measured["docker"] = measure_docker(docker, where, fifo, rounds)
            measured["crun"] = _measure_crun(root, ours, fifo, rounds)
            for peer in (ours, docker):
                if peer is not None:
                    print(f"starting: many, {peer.name}", file=sys.stderr, flush=True)
                    measured[peer.name].append(_measure_many(peer, few=few))
    return measured


def _measure_crun(root: Path, ours: Peer, fifo: Fifo, rounds: int) -> list[dict[str, float | None]]:
    if shutil.which("crun") is None:
        return []
    ours.run(ours.root / "start", "up", "-d")
    like = next((ours.root / "data/projects/start/containers").glob("*/bundle/config.json"))
    write_bundle(root / "crun", fifo, like)
    ours.run(ours.root / "start", "down", "-t", "0")
    return [
        dict.fromkeys((TO_PROGRAM, FROM_START, BUNDLE), time)
        for time in crun_series(root / "crun", fifo, rounds)
    ]


def _measure_many(peer: Peer, *, few: bool) -> dict[str, float | None]:
    where = peer.root / "start"
    up, down, megabytes = many(peer, where, 50)
    times: dict[str, float | None] = {FIFTY: up, FIFTY_DOWN: down, RESIDENT: megabytes}
    if few:
        return times
    up, down, _ = many(peer, where, 200)
    return {**times, TWO_HUNDRED: up, TWO_HUNDRED_DOWN: down}


def section(mirror: str | None, rounds: int, *, few: bool = False) -> str:
    """Measure, and return the section of the page."""
    return starting_section(measure_starting(mirror, rounds, few=few), TITLES, rounds)


def main() -> None:
    """Print the section."""
    parser = argparse.ArgumentParser(prog="benchmarks.starting", description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--few", action="store_true", help="leave two hundred containers out")
    parser.add_argument("--crun", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--fifo", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.crun:
        fifo = Fifo(options.fifo)
        print(json.dumps([once_crun(options.crun, fifo, n) for n in range(options.rounds)]))
        return
    os.environ.update(image_setting())
    mirror = os.environ.get(MIRROR, "").partition("=")[2] or None
    print(section(mirror, options.rounds, few=options.few))


if __name__ == "__main__":
    main()
