"""The scenarios of the suite, and running one: in a mount namespace and a directory of its own.

Some make their mounts in the runtime's own mount namespace and then delete their directory: in the
host's namespace that would reach the host's files.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from orchestra.engine.linux import host
from scripts.validation import tap
from scripts.validation.runtimes import Runtime

_CGROUPS = ("cgrouptest", "testdir/cgrouptest/container", "testdir/cgrouptest", "testdir")


@dataclass(frozen=True, slots=True)
class Outcome:
    """A scenario over a runtime.

    One that ends with an error has failed as a whole, and what passed in it counts for nothing:
    such as the assertions of a container that the runtime had to refuse.
    """

    assertions: tuple[tap.Assertion, ...]
    complaint: str
    void: int = 0
    """How many passed in spite of that."""

    @property
    def passed(self) -> int:
        """Return how many assertions passed."""
        return sum(assertion.passed for assertion in self.assertions)

    @property
    def failed(self) -> tuple[str, ...]:
        """Return the names of those that did not, and the complaint."""
        names = tuple(item.name for item in self.assertions if not item.passed)
        return (*names, self.complaint) if self.complaint else names


def scenarios(checkout: Path, pattern: str) -> Iterator[Path]:
    """Yield the programs of the built suite.

    :raises SystemExit: when it is not built.
    """
    programs = sorted((checkout / "validation").glob("*/*.t"))
    if not programs or not (checkout / "runtimetest").exists():
        raise SystemExit(f"{checkout} is not built: see python -m scripts.validation --help")
    yield from (program for program in programs if fnmatchcase(program.stem, pattern))


def run(program: Path, runtime: Runtime, directory: Path, seconds: int) -> Outcome:
    """Run a scenario and clean up behind it."""
    directory.mkdir()
    directory.chmod(0o755)
    shell = ["unshare", "-m", "--propagation", "slave", "sh", "-c"]
    argv = [*shell, f'{runtime.prepare} exec "$@"', "sh", str(program)]
    environment = {**os.environ, "RUNTIME": str(runtime.program), "TMPDIR": str(directory)}
    with (directory / "output").open("w+b") as output, (directory / "errors").open("w+b") as errors:
        process = subprocess.Popen(
            argv,
            cwd=program.parents[2],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            start_new_session=True,
        )
        try:
            code = process.wait(seconds)
            failure = f"exit code {code}" if code else ""
        except subprocess.TimeoutExpired:
            failure = f"not done in {seconds} seconds"
        _end(process)
    runtime.clean_up()
    text = (directory / "output").read_text(errors="replace")
    said = (directory / "errors").read_text(errors="replace").strip()
    _remove(directory)
    found = tap.assertions(text)
    if failure:
        void = sum(assertion.passed for assertion in found)
        return Outcome((), _last_words(said) or failure, void)
    return Outcome(found, "" if found else tap.complaint(text))


def _last_words(errors: str) -> str:
    """Return the line of stderr that says why: the runtime's, before the suite's exit status."""
    lines = [line for line in errors.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(("exit status", "Refer to:"))]
    return lines[-1] if lines else ""


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _remove(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    cgroups = host.cgroups()
    for hierarchy in (*cgroups.v1, *((cgroups.unified,) if cgroups.unified else ())):
        for name in _CGROUPS:
            with contextlib.suppress(OSError):
                (Path(hierarchy.mountpoint) / name).rmdir()
