"""What loading a directory costs, measured where nothing else runs.

``python -m support.measured`` reads a list of Probe as JSON, and for each forks a process that
loads it under limits; it prints one Reading as a line of JSON each.
"""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestra.cli.render.errors import lines_of
from orchestra.errors import SpecError, UsageError
from orchestra.spec.loader import LoadOptions, load_project, render_project

_CPU_SECONDS = 8
_BYTES = 2 * 1024**3


@dataclass(frozen=True, slots=True)
class Probe:
    """A project to load: its directory, the files named by the command line, the variables."""

    directory: str
    files: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    environment: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of it. ``text``: the errors and warnings as the user would see them."""

    outcome: str
    cpu_seconds: float
    peak_mib: float
    text: str


def measure(probes: Sequence[Probe]) -> Iterator[Reading]:
    """Yield what each probe costs."""
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-m", "support.measured"],
        env={"PYTHONPATH": f"{root}:{root / 'tests'}", "PATH": os.environ.get("PATH", "")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        with child.stdin as stream:
            json.dump([asdict(probe) for probe in probes], stream)
        for line in child.stdout:
            yield Reading(**json.loads(line))


def _load(probe: Probe) -> tuple[str, str]:
    options = LoadOptions(
        files=tuple(probe.files), env_files=tuple(probe.env_files), project_name="hostile"
    )
    try:
        project = load_project(options, probe.environment or {}, Path(probe.directory))
        json.dumps(render_project(project, json_shape=True))
    except (SpecError, UsageError) as error:
        return "refused", "\n".join(lines_of(error))
    except BaseException as error:  # noqa: BLE001 - the reading tells which it was
        return f"{type(error).__name__}", str(error)[:1000]
    return "read", "\n".join(project.warnings)


def _peak_mib() -> float:
    found = re.search(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def _alone(probe: Probe) -> Reading:
    started = time.process_time()
    outcome, text = _load(probe)
    return Reading(outcome, time.process_time() - started, _peak_mib(), text)


def _in_child(probe: Probe) -> str:
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
        signal.alarm(300)  # one that waits for ever
        resource.setrlimit(resource.RLIMIT_AS, (_BYTES, _BYTES))
        with os.fdopen(theirs, "w") as stream:
            json.dump(asdict(_alone(probe)), stream)
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as stream:
        line = stream.read()
    _, status = os.waitpid(child, 0)
    return line or json.dumps(asdict(Reading(f"killed ({status})", _CPU_SECONDS, 0.0, "")))


def main() -> None:
    """Answer the probes on stdin, the models being built beforehand."""
    probes = [Probe(**probe) for probe in json.load(sys.stdin)]
    _load(Probe(str(Path(__file__).parents[1] / "golden" / "projects" / "everything")))
    for probe in probes:
        print(_in_child(probe), flush=True)


if __name__ == "__main__":
    main()
