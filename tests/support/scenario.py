"""One Compose project in a directory of its own, driven through the command line as a user does.

State lies below a short temporary root, so that nothing of the machine's own Orchestra is touched
and unix sockets fit their path limit. With ORCHESTRA_E2E_PEER set to a Docker Compose binary the
same scenarios run against that, which tells whether an expectation is right.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from support.footprint import Footprint
from support.patience import FACTOR
from support.ports import free_port

PEER = os.environ.get("ORCHESTRA_E2E_PEER")
RUNTIME = os.environ.get("ORCHESTRA_E2E_RUNTIME")
"""The runtime of every container, where it is not the native one."""
PASSED_ON = ("PATH", "HOME", "LANG", "DOCKER_HOST", "DOCKER_BUILDKIT")
PATIENCE_SECONDS = 60.0
POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        """Return stdout and stderr."""
        return self.out + self.err


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One line of ``ps -a --format json``."""

    id: str
    name: str
    service: str
    state: str
    health: str
    exit_code: int
    publishers: tuple[Mapping[str, object], ...] = ()


def command() -> list[str]:
    """Return the argv prefix of the program under test."""
    if PEER:
        return [PEER]
    script = Path(sys.executable).with_name("orchestra")
    return [str(script)] if script.exists() else [sys.executable, "-m", "orchestra"]


def eventually(holds: Callable[[], bool], what: str, *, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until ``holds``: the program under test tells outsiders of no event.

    :raises AssertionError: when it does not hold in time.
    """
    deadline = time.monotonic() + seconds * FACTOR
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(POLL_SECONDS)


def files_below(place: Path) -> Iterator[tuple[Path, bytes]]:
    """Read every file below a directory; what goes while we look is no matter."""
    for directory, _, names in os.walk(place):
        for path in (Path(directory, name) for name in names):
            with contextlib.suppress(FileNotFoundError):
                if stat.S_ISREG(path.lstat().st_mode):
                    yield path, path.read_bytes()


def not_on_peer(reason: str) -> None:
    """Skip what Docker Compose does not do, when it is the one under test."""
    if PEER:
        pytest.skip(f"Docker Compose does not: {reason}")


@dataclass
class Scenario:
    """A project directory and a state root. Make siblings with :meth:`sibling`."""

    directory: Path
    root: Path
    environment: dict[str, str]
    transcript: list[str] = field(default_factory=list)
    siblings: list[Scenario] = field(default_factory=list)
    footprint: Footprint = field(init=False)

    def __post_init__(self) -> None:
        self.footprint = Footprint(self.root, {self.project})

    @property
    def project(self) -> str:
        """Return the project's name, which is its directory's."""
        return self.directory.name

    def sibling(self) -> Scenario:
        """Return a second project with the same files on the same state."""
        directory = self.directory.with_name(f"{self.project}-sibling")
        shutil.copytree(self.directory, directory)
        port = {"PORT": str(free_port()), "OTHER_PORT": str(free_port())}
        made = Scenario(directory, self.root, {**self.environment, **port}, self.transcript)
        self.siblings.append(made)
        self.footprint.projects.add(made.project)
        made.footprint = self.footprint
        return made

    def run(
        self,
        *words: str,
        code: int | None = 0,
        stdin: str = "",
        seconds: float = PATIENCE_SECONDS,
        directory: Path | None = None,
    ) -> Result:
        """Run one command to its end; ``code`` None accepts every exit code.

        :raises AssertionError: on another exit code, with everything that was said.
        """
        begun = time.monotonic()
        done = subprocess.run(
            [*command(), *words],
            cwd=directory or self.directory,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds * FACTOR,
            check=False,
        )
        result = Result(done.returncode, done.stdout, done.stderr)
        self._note(words, f"{result.code} after {time.monotonic() - begun:.2f} s", result.text)
        assert code is None or result.code == code, (
            f"{' '.join(words)} exited {result.code}, not {code}:\n{result.text}"
        )
        return result

    @contextlib.contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Run a command beside the test, in a process group of its own; killed at the end."""
        process = subprocess.Popen(
            [*command(), *words],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            assert process.stdout is not None
            rest = process.stdout.read()
            process.stdout.close()
            self._note(words, str(process.wait()), rest)

    def _note(self, words: tuple[str, ...], how: str, text: str) -> None:
        self.footprint.remember()
        self.transcript.append(f"[{self.project}] $ {' '.join(words)}   -> {how}\n{text}")

    def up(self, *options: str, code: int | None = 0) -> Result:
        """Run ``up -d``."""
        return self.run("up", "-d", *options, code=code)

    def containers(self) -> tuple[Container, ...]:
        """Return every container of the project, stopped ones too."""
        text = self.run("ps", "-a", "--format", "json").out.strip()
        whole = text if text.startswith("[") else f"[{','.join(text.splitlines())}]"
        found = [_container(entry) for entry in json.loads(whole)]
        return tuple(sorted(found, key=lambda each: each.name))

    def container(self, service: str) -> Container:
        """Return the only container of a service."""
        (found,) = (each for each in self.containers() if each.service == service)
        return found

    def services(self, state: str = "running") -> list[str]:
        """Return the services with a container in ``state``."""
        return sorted(each.service for each in self.containers() if each.state == state)

    def exec(self, service: str, *argv: str, code: int | None = 0, stdin: str = "") -> Result:
        """Run a command in a service's container."""
        return self.run("exec", "-T", service, *argv, code=code, stdin=stdin)

    def started(self, service: str, *, code: int | None = 0) -> str:
        """Return what changes with every start of a service: id and its init's start time.

        With ``code`` None a service that does not run right now has "".
        """
        done = self.exec(service, "cat", "/proc/1/stat", code=code)
        if done.code != 0:
            return ""
        return f"{self.container(service).id} {done.out.rpartition(')')[2].split()[19]}"

    def started_since(self, service: str, before: str) -> bool:
        """Say whether a service runs, and was started after ``before`` was taken."""
        return self.started(service, code=None) not in {before, ""}

    def logs(self, *words: str) -> str:
        """Return what the services have said, without colours."""
        return self.run("logs", "--no-color", *words).out

    def edit(self, old: str, new: str, *, file: str = "compose.yaml") -> None:
        """Replace a text that must be there in one of the project's files."""
        path = self.directory / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def processes(self, word: str) -> set[int]:
        """Return the pids of the project's own processes with ``word`` among their arguments."""
        found = set()
        for pid in self.footprint.pids():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                if word in words and self.project in words:
                    found.add(pid)
        return found

    def runtime(self, service: str) -> str:
        """Return the name of the runtime's program that a service's shim was told to use."""
        number = self.container(service).id
        place = self.root / "data/projects" / self.project / "containers"
        (directory,) = (path for path in place.iterdir() if path.name.startswith(number))
        words = json.loads((directory / "shim.json").read_text())["runtime"]
        return Path(words[0]).name if words else "native"

    def set_runtime(self, name: str) -> None:
        """Name the runtime of all services in the settings."""
        (self.root / "config.toml").write_text(f'runtime = "{name}"\n')

    def init_pid(self, service: str) -> int:
        """Return the host's pid of a service's init, found by its process id namespace."""
        namespace = self.exec(service, "readlink", "/proc/self/ns/pid").out.strip()
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if str((place / "ns/pid").readlink()) == namespace:
                    status = (place / "status").read_text()
                    numbers = status.partition("NSpid:")[2].partition("\n")[0].split()
                    if numbers[-1] == "1":
                        return int(numbers[0])
        raise AssertionError(f"no init of {service} found")


def _container(entry: Mapping[str, object]) -> Container:
    publishers = entry.get("Publishers") or ()
    assert isinstance(publishers, (list, tuple))
    return Container(
        id=str(entry["ID"]),
        name=str(entry["Name"]),
        service=str(entry["Service"]),
        state=str(entry["State"]),
        health=str(entry["Health"]),
        exit_code=int(str(entry["ExitCode"])),
        publishers=tuple(publishers),
    )


def make_scenario(source: Path, mirror: Mapping[str, str]) -> Scenario:
    """Copy a scenario's directory below a fresh root."""
    token = secrets.token_hex(4)
    root = Path(tempfile.gettempdir()) / f"orc-{token}"
    root.mkdir(mode=0o700)
    directory = root / "projects" / f"{source.name.replace('_', '-')}-{token}"
    ignored = shutil.ignore_patterns("test_*.py", "__pycache__")
    shutil.copytree(source, directory, ignore=ignored)
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment |= {
        "ORCHESTRA_DATA": f"{root}/data",
        "ORCHESTRA_RUN": f"{root}/run",
        "ORCHESTRA_CONFIG": f"{root}/config.toml",
        "COLUMNS": "200",
        "PORT": str(free_port()),
        "OTHER_PORT": str(free_port()),
        **mirror,
    }
    scenario = Scenario(directory, root, environment)
    if RUNTIME:
        scenario.set_runtime(RUNTIME)
    return scenario


def remove_scenario(scenario: Scenario) -> None:
    """Take a project and its siblings down, and make sure that nothing of them is left.

    :raises AssertionError: when something is; it is cleared away by force first.
    """
    everybody = [scenario, *scenario.siblings]
    ends = [each.run("down", "-v", "--remove-orphans", "-t", "2", code=None) for each in everybody]
    footprint = scenario.footprint
    if not PEER:
        with contextlib.suppress(AssertionError):
            eventually(lambda: not footprint.found(), "nothing is left")
        left = footprint.found()
        _clear_away(footprint, left)
        assert not left, f"left behind: {left}"
    shutil.rmtree(scenario.root)
    assert [end.code for end in ends] == [0] * len(ends), ends


def _clear_away(footprint: Footprint, left: Mapping[str, list[str]]) -> None:
    """Remove what a failed run left, so that the next test starts clean."""
    if "processes" in left:
        for pid in footprint.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    for argv, kind in (
        (("umount", "-l"), "mounts"),
        (("ip", "link", "delete"), "links"),
        (("nft", "delete"), "tables"),
    ):
        for thing in left.get(kind, ()):
            subprocess.run([*argv, *thing.split()], check=False, capture_output=True)
    for path in left.get("cgroups", ()):
        for directory, _, _ in os.walk(path, topdown=False):
            with contextlib.suppress(OSError):
                Path(directory).rmdir()
