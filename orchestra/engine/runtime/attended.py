"""A container whose first process is forked by one, and furnished by another.

A process that has just been forked from Python pays for every page it writes, and Python writes
wherever it looks. So the *maker* is a process that has made containers before: it reads the bundle,
makes the cgroup and, inside the namespaces of the first process, the mounts. That process does what
nobody can do for it: it is born into its namespaces, mounts their procfs, and becomes the program.

The maker's root stays the host's all the time, so nothing of an image is ever a file that it would
import or execute.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import cast

from orchestra.engine.linux import syscalls
from orchestra.engine.runtime import become, init, reaper
from orchestra.engine.runtime.beside import Beside, may_be_beside
from orchestra.engine.runtime.cgroup import Cgroup
from orchestra.engine.runtime.config import load_config, rootfs_of
from orchestra.engine.runtime.create import adjust_oom_score, cgroup_of, finish
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.engine.runtime.first import AT_ONCE, BORN_WITH, LATER, Birth, FirstProcess
from orchestra.engine.runtime.namespaces import plan_namespaces
from orchestra.engine.runtime.newborn import Data, Program
from orchestra.engine.runtime.options import parse_options
from orchestra.engine.runtime.security import OPTIONAL_RLIMITS
from orchestra.engine.runtime.state import StateDirectory
from orchestra.oci.runtime import RuntimeConfig

_INSIDE = AT_ONCE | LATER
_TEXT_MAX = 12288
"""So many letters of arguments and environment go into one message, whatever they are."""


def may_be_attended(config: RuntimeConfig) -> bool:
    """Tell whether a container is of the common kind that a maker can furnish from outside.

    Not with hooks, a terminal, namespaces of others, ids of its own, or mounts with mapped owners.
    """
    linux, process = config.get("linux") or {}, config.get("process") or {}
    plan = plan_namespaces(linux)
    mounts = config.get("mounts") or []
    return (
        may_be_beside(config)
        and bool(linux.get("cgroupsPath"))
        and sum(map(len, (*(process.get("env") or ()), *(process.get("args") or ())))) < _TEXT_MAX
        and not plan.joined
        and not plan.new & ~(_INSIDE | BORN_WITH)
        and not config.get("hooks")
        and not process.get("terminal")
        and not process.get("scheduler")
        and not process.get("ioPriority")
        and not linux.get("personality")
        and linux.get("rootfsPropagation") in {None, "", "rslave", "rprivate", "slave", "private"}
        and sum(mount.get("type") == "proc" for mount in mounts) <= 1
        and not any("uidMappings" in mount or "gidMappings" in mount for mount in mounts)
        and not any("idmap" in option for mount in mounts for option in mount.get("options") or [])
    )


def birth_of(config: RuntimeConfig) -> Birth:
    """Return what a container's first process is born with."""
    procfs: Data | None = None
    for mount in config.get("mounts") or []:
        if mount.get("type") == "proc":
            procfs = list(parse_options(mount.get("options") or []).data)
    bounding = become.bounding_of(config.get("process") or {})
    return Birth(plan_namespaces(config.get("linux") or {}).new, procfs, bounding)


class Attended:
    """A container in the making, in the maker's process; use it once."""

    def __init__(self, container_id: str, bundle: str, state_root: str) -> None:
        self._bundle = bundle
        self._config = load_config(bundle)
        self._directory = StateDirectory(state_root, container_id)
        self._linux = self._config.get("linux") or {}
        self._plan = plan_namespaces(self._linux)
        self._cgroup = cgroup_of(self._config, container_id)
        annotations = self._config.get("annotations") or {}
        self._optional = annotations.get(OPTIONAL_RLIMITS, "")
        self._own_init = annotations.get(reaper.ANNOTATION) == "true"
        self._person: become.Person | None = None
        self._first: FirstProcess | None = None
        self._trees: Mapping[str, int] = {}
        self._ahead: Cgroup | None = None
        self._made = False

    @property
    def pid(self) -> int:
        """Return the first process's pid, 0 while there is none."""
        return self._first.pid if self._first else 0

    @property
    def pidfd(self) -> int:
        """Return the first process's pidfd, which is ours; -1 while there is none."""
        return self._first.pidfd if self._first else -1

    @property
    def born_inside(self) -> bool:
        """Tell whether the first process is born into its cgroup (v2), which must be there then."""
        return bool(self._cgroup.unified_directory())

    @property
    def has_v1(self) -> bool:
        """Tell whether its limits are those of cgroup v1, where a cgroup can be renamed."""
        return bool(self._cgroup.v1_directories())

    def make_cgroup(self) -> None:
        """Make the container's state and cgroup.

        :raises RuntimeFailure: when a container of that id lives, or a limit is refused.
        """
        self._directory.make()
        self._made = True
        if self._ahead is not None:
            self._cgroup.take(self._ahead)
            return
        self._cgroup.create(self._linux.get("resources") or {})

    def take(self, first: FirstProcess, trees: Mapping[str, int], cgroup: Cgroup) -> None:
        """Take what has been made ahead: a first process that is in ``cgroup``, trees of mounts."""
        self._first, self._trees, self._ahead = first, trees, cgroup

    def orders(self) -> tuple[bytes, tuple[int, ...]]:
        """Return what ``newborn.fork`` takes; the caller closes the descriptors once sent."""
        self._first = FirstProcess(birth_of(self._config))
        return self._first.orders(self._cgroup.open())

    def prepare(self) -> None:
        """Check what the first process is to become, and compile its filter.

        :raises RuntimeFailure: for what could not be done anyway.
        """
        process = self._config.get("process") or {}
        profile = self._linux.get("seccomp")
        self._person = become.prepare(process, profile, optional_rlimits=self._optional)

    def let_in(self, network: int) -> None:
        """Let the first process join its network and, where it was not born there, its cgroup.

        It is told what it is to become, too.
        """
        self._forked().let_in(self._program(), network)

    def born(self, pid: int) -> None:
        """Take note of the first process.

        :raises RuntimeFailure: when it has failed.
        """
        self._forked().born(pid)

    def furnish(self, places: Callable[[], None]) -> int:
        """Mount all that the container has, inside of it; return a descriptor of its root.

        The caller is in the container's network already, and leaves it all by ``Home``.

        :raises RuntimeFailure: when something cannot be mounted, or the first process has failed.
        """
        first = self._forked()
        first.wait_inside()
        birth = init.Birth(
            container_id=self._directory.container_id,
            bundle=self._bundle,
            rootfs=rootfs_of(self._config, self._bundle),
            config=self._config,
            namespaces=self._plan,
            cgroup=self._cgroup,
            born_in_cgroup=True,
            person=self._prepared(),
            stdio=(0, 1, 2),
            console_socket=None,
            channel=first.channel,
            beside=Beside(places=places, network=_nothing, maker=0),
            procfs=first.procfs,
            trees=self._trees,
        )
        try:
            self._enter(first)
            failure = init.go_through(birth, init.PLACING)
            if failure is not None:
                raise failure
            self._person = birth.person
            return os.dup(birth.entered().fd)
        finally:
            if birth.root is not None:
                birth.root.done(birth.root.fd)
                birth.root.close_done()
            first.forget_procfs()

    def write(self) -> None:
        """Write the container down, and set what its first process needs not do itself."""
        annotations = self._config.get("annotations") or {}
        self._directory.write(self.pid, self._bundle, annotations)
        adjust_oom_score(self.pid, self._config)

    def let_go(self, root: int) -> None:
        """Let the first process become its program; return once that runs.

        :raises RuntimeFailure: when it cannot be executed (126, 127), or died before (125).
        """
        first = self._forked()
        first.let_go(self._prepared().environment.get("HOME", ""), root)
        finish(first.channel)

    def close(self) -> None:
        """Close what is open, however it went."""
        if self._first is not None:
            self._first.close()

    def end(self) -> None:
        """Kill the first process, where its shim has not, and wait for its end."""
        if self._first is not None:
            self._first.end()

    def undo(self) -> None:
        """Take cgroup and state away; the first process has ended."""
        if self._made:
            self._cgroup.delete()
            self._directory.remove()

    def _forked(self) -> FirstProcess:
        if self._first is None:
            raise RuntimeFailure("the container's first process has not been forked")
        return self._first

    def _prepared(self) -> become.Person:
        if self._person is None:
            raise RuntimeFailure("the container's program has not been prepared")
        return self._person

    def _program(self) -> Program:
        """Return what the first process is to become."""
        person = self._prepared()
        labels = [(label.key, label.files, label.value) for label in person.labels]
        inside = self.born_inside or self._ahead is not None
        cgroup = "" if inside else (self._linux.get("cgroupsPath") or "")
        return (
            cast("dict[str, object]", person.process),
            dict(person.environment),
            person.filter,
            int(person.filter_flags),
            person.optional_rlimits,
            labels,
            self._own_init,
            self._directory.container_id,
            int(self._plan.new & LATER),
            cgroup,
        )

    def _enter(self, first: FirstProcess) -> None:
        """Enter the first process's namespaces, with its root as ours."""
        try:
            root = os.open(f"/proc/{first.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                first.enter(self._plan.new & _INSIDE)
                _take_root(root)
            finally:
                os.close(root)
            if self._config.get("hostname"):
                syscalls.sethostname(self._config["hostname"])
            if self._config.get("domainname"):
                syscalls.setdomainname(self._config["domainname"])
        except OSError as err:
            raise failed("enter the namespaces", err) from err


class Home:
    """The namespaces and the root that this process has now, to come back to."""

    def __init__(self) -> None:
        kinds = ("mnt", "net", "ipc", "uts", "cgroup")
        self._fds = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in kinds]
        self._root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def come_back(self) -> None:
        """Leave all that was entered."""
        for fd in self._fds:
            syscalls.setns(fd, 0)
        _take_root(self._root)


def _take_root(fd: int) -> None:
    os.fchdir(fd)
    os.chroot(".")


def _nothing() -> None:
    """Do nothing."""
