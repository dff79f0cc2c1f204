"""A container's root file system as a descriptor, whether the container runs or not.

Of a running one it is the init's own root, with every mount in it; of another one a short-lived
program makes it (shim/standstill.py). Nothing here enters it: paths in it are for openat2(2) with
RESOLVE_IN_ROOT. Its mount namespace is held meanwhile, so that no mount goes away under a copy.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.engine.container.places import Places
from orchestra.engine.container.spawning import reap
from orchestra.engine.container.stages import standing_stages
from orchestra.engine.linux import process
from orchestra.engine.paths import Paths
from orchestra.engine.shim import wire
from orchestra.engine.shim.protocol import Identity
from orchestra.engine.state.records import ContainerRecord
from orchestra.errors import ContainerError

if TYPE_CHECKING:
    from orchestra.engine.shim.standstill import Wanted

_PACKAGE = str(Path(__file__).resolve().parents[3])
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from orchestra.engine.shim.standstill import main; main()"
)
_ANSWER_SECONDS = 30.0


@contextmanager
def open_root(paths: Paths, record: ContainerRecord, *, volumes: bool = True) -> Iterator[int]:
    """Open a container's root (O_PATH); its lock must be held. Blocks.

    ``volumes`` False leaves out whatever is mounted in it.

    :raises ContainerError: when it cannot be mounted.
    """
    places = Places.of(paths, record)
    init = places.init()
    held = _live(init) if init is not None else None
    if held is None:
        held = _ask(record, _wanted(places, record, volumes=volumes))
    elif not volumes:
        try:
            bare = _ask(record, None, held[1])
        finally:
            wire.close_all(held)
        held = bare
    try:
        yield held[0]
    finally:
        wire.close_all(held)


def _live(init: Identity) -> list[int] | None:
    """Return the root and the mount namespace of a process; None when it is gone."""
    held: list[int] = []
    try:
        held.append(os.open(f"/proc/{init['pid']}/root", os.O_PATH | os.O_DIRECTORY))
        held.append(os.open(f"/proc/{init['pid']}/ns/mnt", os.O_RDONLY))
    except OSError:
        wire.close_all(held)
        return None
    if process.is_alive(init):  # else the pid may have been another's by then
        return held
    wire.close_all(held)
    return None


def _wanted(places: Places, record: ContainerRecord, *, volumes: bool) -> Wanted:
    config = places.read_config()
    return {
        "target": str(places.bundle / "rootfs"),
        "rootfs": {
            "lower": list(record.layers),
            "upper": str(places.upper),
            "work": str(places.work),
        },
        "mounts": config.get("mounts", []) if volumes else [],
        "read_only": config.get("root", {}).get("readonly", False),
        "run_directory": str(places.run_directory),
        "stages": standing_stages(places) if volumes else [],
    }


def _ask(record: ContainerRecord, wanted: Wanted | None, *namespace: int) -> list[int]:
    """Let the program make a root; return the descriptors of it and of its namespace."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            child = _spawn(theirs.fileno())
        try:
            wire.enlarge(ours)
            ours.settimeout(_ANSWER_SECONDS)
            with suppress(BrokenPipeError):
                wire.send(ours, wanted or {}, namespace)
            received = wire.receive(ours)
        except OSError as err:
            raise _refused(record, err.strerror or str(err)) from err
        finally:
            reap(child)
    if received is None:
        raise _refused(record, "the process that mounts its root was killed")
    message, fds = received
    if message.get("ok") is not True:
        raise _refused(record, str(message.get("error")))
    return fds


def _spawn(number: int) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _PROGRAM, _PACKAGE, str(number)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            pass_fds=(number,),
        )
    except OSError as err:
        raise ContainerError(f"cannot start a process: {err.strerror}") from err


def _refused(record: ContainerRecord, why: str) -> ContainerError:
    return ContainerError(f'cannot look into container "{record.spec.name}": {why}')
