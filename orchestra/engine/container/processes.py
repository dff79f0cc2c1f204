"""The processes of a running container, as the host's ``ps -ef`` sees them.

Read from the container's cgroup and from /proc (proc(5)); a process that ends meanwhile is passed
over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from orchestra.engine.linux import host
from orchestra.engine.linux.process import Identity
from orchestra.engine.target import ContainerProcess

_TICKS = os.sysconf("SC_CLK_TCK")
_PTS_MAJORS = range(136, 144)


def processes_of(init: Identity) -> tuple[ContainerProcess, ...]:
    """Return the processes in the cgroup of a container's init and below it, by pid."""
    try:
        pids = sorted(_pids(init["pid"]))
    except OSError:  # it has ended
        return ()
    booted = _boot_time()
    return tuple(process for pid in pids if (process := _read(pid, booted)) is not None)


def _pids(init: int) -> set[int]:
    cgroups = host.cgroups(init)
    unified = cgroups.unified if cgroups.mode == "v2" else None
    trees = (unified,) if unified is not None else cgroups.v1
    found = {init}
    for tree in trees:
        if tree.directory != tree.mountpoint:
            for directory, _, _ in os.walk(tree.directory):
                found |= {int(pid) for pid in _words(Path(directory) / "cgroup.procs")}
    return found


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []


def _boot_time() -> datetime:
    for line in _lines(Path("/proc/stat")):
        if line.startswith("btime "):
            return datetime.fromtimestamp(int(line.split()[1]), UTC)
    return datetime.fromtimestamp(0, UTC)


def _lines(path: Path) -> Iterator[str]:
    yield from path.read_text().splitlines()


def _read(pid: int, booted: datetime) -> ContainerProcess | None:
    place = Path(f"/proc/{pid}")
    try:
        stat = (place / "stat").read_text(errors="replace")
        arguments = (place / "cmdline").read_bytes()
        uid = _effective_uid(place)  # the directory's owner is root where nobody may dump it
    except OSError:
        return None
    name = stat[stat.index("(") + 1 : stat.rindex(")")]
    fields = stat[stat.rindex(")") + 2 :].split()
    return ContainerProcess(
        uid=uid,
        pid=pid,
        parent=int(fields[1]),
        started_at=booted + timedelta(seconds=int(fields[19]) / _TICKS),
        terminal=_terminal(int(fields[4])),
        cpu_time=timedelta(seconds=(int(fields[11]) + int(fields[12])) / _TICKS),
        command=_command(arguments) or f"[{name}]",
    )


def _effective_uid(place: Path) -> int:
    for line in _lines(place / "status"):
        if line.startswith("Uid:"):
            return int(line.split()[2])
    return 0


def _command(arguments: bytes) -> str:
    return arguments.rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")


def _terminal(number: int) -> str:
    """Name a terminal by its device number (proc_pid_stat(5), tty_nr)."""
    major, minor = os.major(number), os.minor(number)
    if major in _PTS_MAJORS:
        return f"pts/{(major - _PTS_MAJORS.start) * 256 + minor}"
    return f"tty{minor}" if major == 4 else ""
