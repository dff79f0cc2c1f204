"""What can be made of a plain container before it is asked for: all that is the same for the next.

A maker that has nothing to do makes one *spare*: the first process in namespaces of its own, forked
by a shim that waits to be called; the cgroup, which takes the container's name when there is one;
the network namespace with an interface; /proc, /dev and /sys. The next container that is like the
last has half of its start behind it then. Not with cgroup v2, where no cgroup can be renamed.
"""

# No pathlib here: the process stays small.

from __future__ import annotations

import os
import socket
from array import array

from orchestra.engine.linux.flags import CloneFlag
from orchestra.engine.runtime.attended import Home, birth_of
from orchestra.engine.runtime.cgroup import Cgroup
from orchestra.engine.runtime.cgroup_files import ROOT_NAME
from orchestra.engine.runtime.first import Birth, FirstProcess
from orchestra.engine.runtime.trees import Standard, build, standard_part
from orchestra.engine.shim import wire
from orchestra.engine.shim.beginning import FORK
from orchestra.engine.shim.failure import ShimFailure, because
from orchestra.engine.shim.network_ahead import Ahead, NetworkKind, network_kind
from orchestra.engine.shim.protocol import ShimRequest
from orchestra.oci.runtime import LinuxResources, RuntimeConfig
from orchestra.values import dataclass

CGROUP_PREFIX = "_ahead-"
"""Of the name of a spare's cgroup, before the pid of its shim: no container's id begins so."""
_LOOSE = "orca"
_ANSWER_BYTES = 64


@dataclass(frozen=True, slots=True)
class Kind:
    """What a spare is made for; equal kinds can have each other's."""

    birth: Birth
    standard: Standard
    network: NetworkKind
    parent: str
    """The cgroup that its own is in."""
    resources: LinuxResources


def kind_of(request: ShimRequest, config: RuntimeConfig) -> Kind | None:
    """Return a container's kind; None where nothing of it can be made ahead."""
    standard, linux = standard_part(config), config.get("linux") or {}
    project = request["run_directory"].rsplit("/", 2)[0].rpartition("/")[2]
    parent, _, name = (linux.get("cgroupsPath") or "").rpartition("/")
    ours = (parent, name) == (f"/{ROOT_NAME}/{project}", request["id"])
    network = network_kind(request["network"])
    birth = birth_of(config)
    resources = linux.get("resources") or {}
    if standard is None or not ours or network is None or not birth.new & CloneFlag.NEWPID:
        return None
    if (resources.get("cpu") or {}).get("realtimeRuntime"):
        return None  # a share of its parent's, which others could need: no limit as all else is
    return Kind(birth, standard, network, parent, resources)


class Spare:
    """One that is there; ``shim`` waits at the other end of ``line``."""

    def __init__(self, shim: int, line: socket.socket, kind: Kind) -> None:
        self.shim = shim
        self.line = line
        self.kind = kind
        self.first = FirstProcess(kind.birth)
        self.cgroup = Cgroup.at(f"{kind.parent}/{CGROUP_PREFIX}{shim}")
        self.trees: dict[str, int] = {}
        self.network: Ahead | None = None

    def make(self, place: str, home: Home) -> None:
        """Make it all. ``place``: see trees.build.

        :raises RuntimeFailure, ShimFailure, OSError: when something cannot be had.
        """
        self.cgroup.create(self.kind.resources)
        order(self.line, self.first.orders(-1, f"{self.kind.parent}/{CGROUP_PREFIX}{self.shim}"))
        try:
            self.network = Ahead(self.kind.network, f"{_LOOSE}{self.shim}")
            self.first.born(hear_pid(self.line))
            inside = self.kind.birth.new & CloneFlag.NEWIPC
            if inside:
                self.first.enter(inside)
            cgroups = self.cgroup.seen_from_inside()
            self.trees = build(self.kind.standard, cgroups, place, self.first.procfs)
        finally:
            home.come_back()
        self.first.forget_procfs()

    def close(self) -> None:
        """Let go of it; the line stays open. A first process that is no program yet ends."""
        self.first.close()
        wire.close_all(list(self.trees.values()))
        self.trees = {}
        if self.network is not None:
            self.network.close()
            self.network = None


def order(line: socket.socket, orders: tuple[bytes, tuple[int, ...]]) -> None:
    """Have a shim fork a first process; see FirstProcess.orders."""
    text, fds = orders
    try:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds).tobytes())]
        line.sendmsg([FORK + text], rights)
    finally:
        wire.close_all(fds)


def hear_pid(line: socket.socket) -> int:
    """Return the pid of the first process, which the shim says.

    :raises ShimFailure: when it could not fork that, or is gone.
    """
    told = line.recv(_ANSWER_BYTES)
    if not told:
        raise ShimFailure("cannot start the container: its shim was killed")
    number = int(told)
    if number < 0:
        raise because("cannot fork the container's init", OSError(-number, os.strerror(-number)))
    return number
