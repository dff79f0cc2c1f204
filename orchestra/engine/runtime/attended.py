"""A container whose first process is forked by one, and furnished by another.

A process that has just been forked from Python pays for every page it writes, and Python writes
wherever it looks. So the *maker* is a process that has made containers before: it reads the bundle,
makes the cgroup and, inside the namespaces of the first process, the mounts. That process does what
nobody can do for it: it is born into its namespaces, mounts their procfs, and becomes the program.

The maker's root stays the host's all the time, so nothing of an image is ever a file that it would
import or execute.
"""

from __future__ import annotations

import marshal
import os
import socket
import stat
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NoReturn, cast

from orchestra.engine.linux import forks, syscalls
from orchestra.engine.linux.flags import CloneFlag
from orchestra.engine.linux.process import close_all_but
from orchestra.engine.runtime import become, init, reaper
from orchestra.engine.runtime.beside import Beside, may_be_beside
from orchestra.engine.runtime.cgroup import Cgroup
from orchestra.engine.runtime.config import load_config, rootfs_of
from orchestra.engine.runtime.create import adjust_oom_score, cgroup_of, finish
from orchestra.engine.runtime.departure import leave_session, take_stdio
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.engine.runtime.labels import Label
from orchestra.engine.runtime.mounts import new_superblock
from orchestra.engine.runtime.namespaces import plan_namespaces
from orchestra.engine.runtime.options import parse_options
from orchestra.engine.runtime.resolve import Root
from orchestra.engine.runtime.rootfs import pivot
from orchestra.engine.runtime.security import OPTIONAL_RLIMITS
from orchestra.engine.runtime.state import StateDirectory
from orchestra.engine.runtime.sync import Channel, channel_pair, decode
from orchestra.oci.runtime import Process, RuntimeConfig

_INSIDE = CloneFlag.NEWNS | CloneFlag.NEWIPC | CloneFlag.NEWUTS | CloneFlag.NEWCGROUP
_NET = CloneFlag.NEWNET
_BORN_WITH = CloneFlag.NEWPID
_ROOM = socket.CMSG_SPACE(4 * 4)
_MESSAGE_BYTES = 131072
_TEXT_MAX = 24576
"""So many letters of arguments and environment go into one message, whatever they are."""
_Program = tuple[
    dict[str, object],
    dict[str, str],
    bytes | None,
    int,
    str,
    list[tuple[str, tuple[str, ...], str]],
    bool,
]
"""A become.Person and whether it has an init of ours, as what marshal takes."""
_Data = list[tuple[str, str | None]]


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
        and not plan.new & ~(_INSIDE | _BORN_WITH)
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
        self._channel, self._theirs = channel_pair()
        self.pid, self._pidfd, self._made = 0, -1, False

    @property
    def born_inside(self) -> bool:
        """Tell whether the first process is born into its cgroup (v2), which must be there then."""
        return bool(self._cgroup.unified_directory())

    def make_cgroup(self) -> None:
        """Make the container's state and cgroup.

        :raises RuntimeFailure: when a container of that id lives, or a limit is refused.
        """
        self._directory.make()
        self._made = True
        self._cgroup.create(self._linux.get("resources") or {})

    def orders(self) -> tuple[bytes, tuple[int, ...]]:
        """Return what ``fork`` takes; the caller closes the descriptors once they are sent."""
        born_in = self._cgroup.open()
        later = "" if born_in >= 0 else (self._linux.get("cgroupsPath") or "")
        orders = (
            self._directory.container_id,
            int(self._plan.new & ~_BORN_WITH),
            later,
            self._procfs(),
        )
        flags = b"%d " % int(self._plan.new & _BORN_WITH)
        fds = (self._theirs.fd, born_in) if born_in >= 0 else (self._theirs.fd,)
        self._theirs.fd = -1
        return flags + marshal.dumps(orders), fds

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
        _send(self._channel.fd, marshal.dumps(self._program()), (network,))

    def born(self, pid: int) -> None:
        """Take note of the first process, which is another's child and not reaped yet."""
        self.pid, self._pidfd = pid, os.pidfd_open(pid)

    def furnish(self, places: Callable[[], None]) -> int:
        """Mount all that the container has, inside of it; return a descriptor of its root.

        The caller is in the container's network already, and leaves it all by ``Home``.

        :raises RuntimeFailure: when something cannot be mounted, or the first process has failed.
        """
        procfs = self._hear()
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
            channel=self._channel,
            beside=Beside(places=places, network=_nothing, maker=0),
            procfs=procfs[0] if procfs else -1,
        )
        try:
            self._enter()
            failure = init.go_through(birth, init.PLACING)
            if failure is not None:
                raise failure
            self._person = birth.person
            return os.dup(birth.entered().fd)
        finally:
            if birth.root is not None:
                birth.root.done(birth.root.fd)
                birth.root.close_done()
            for fd in procfs:
                os.close(fd)

    def write(self) -> None:
        """Write the container down, and set what its first process needs not do itself."""
        annotations = self._config.get("annotations") or {}
        self._directory.write(self.pid, self._bundle, annotations)
        adjust_oom_score(self.pid, self._config)

    def let_go(self, root: int) -> None:
        """Let the first process become its program; return once that runs.

        :raises RuntimeFailure: when it cannot be executed (126, 127), or died before (125).
        """
        home = self._prepared().environment.get("HOME", "")
        _send(self._channel.fd, marshal.dumps(home), (root,))
        finish(self._channel)

    def close(self) -> None:
        """Close what is open, however it went."""
        self._channel.close()
        self._theirs.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
            self._pidfd = -1

    def undo(self) -> None:
        """Take cgroup and state away; the first process has ended."""
        if self._made:
            self._cgroup.delete()
            self._directory.remove()

    def _prepared(self) -> become.Person:
        if self._person is None:
            raise RuntimeFailure("the container's program has not been prepared")
        return self._person

    def _program(self) -> _Program:
        """Return what the first process is to become."""
        person = self._prepared()
        labels = [(label.key, label.files, label.value) for label in person.labels]
        return (
            cast("dict[str, object]", person.process),
            dict(person.environment),
            person.filter,
            int(person.filter_flags),
            person.optional_rlimits,
            labels,
            self._own_init,
        )

    def _procfs(self) -> _Data | None:
        """Return the parameters of the procfs that is wanted."""
        for mount in self._config.get("mounts") or []:
            if mount.get("type") == "proc":
                return list(parse_options(mount.get("options") or []).data)
        return None

    def _hear(self) -> list[int]:
        """Wait until the first process is in its namespaces; return its procfs, if it has one."""
        told, fds = _receive(self._channel.fd)
        if not told:
            raise RuntimeFailure("the container's init died before it was ready")
        decode(told)
        return fds

    def _enter(self) -> None:
        """Enter the first process's namespaces, with its root as ours."""
        flags = self._plan.new & _INSIDE
        try:
            root = os.open(f"/proc/{self.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                syscalls.setns(self._pidfd, flags)
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
    """The maker's own namespaces and root, to come back to: those of a process that has them."""

    def __init__(self, pid: int) -> None:
        self._pidfd = os.pidfd_open(pid)
        self._root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def come_back(self) -> None:
        """Leave all that was entered.

        :raises OSError: ESRCH when the process is gone.
        """
        syscalls.setns(self._pidfd, _INSIDE | _NET)
        _take_root(self._root)


def _take_root(fd: int) -> None:
    os.fchdir(fd)
    os.chroot(".")


def _nothing() -> None:
    """Do nothing."""


def fork(orders: bytes, fds: Sequence[int]) -> tuple[int, bytes]:
    """Fork a container's first process by ``Attended.begin``'s orders; 0 in the child.

    Closes the cgroup's descriptor. Second: what the child needs for ``run``.

    :raises OSError: EAGAIN, ENOSPC, EPERM.
    """
    flags, _, rest = orders.partition(b" ")
    born_in = fds[1] if len(fds) > 1 else -1
    try:
        return forks.clone3(int(flags), cgroup_fd=born_in), rest
    finally:
        if born_in >= 0:
            os.close(born_in)


def run(orders: bytes, channel: int, stdio: Callable[[], tuple[int, int, int]]) -> NoReturn:
    """Be a container's first process, from its birth to its program."""
    line = Channel(channel)
    try:
        try:
            _live(orders, line, stdio())
        except RuntimeFailure as failure:
            line.send_failure(failure)
        except OSError as err:
            line.send_failure(failed("make the container's first process", err))
        except BaseException as err:  # noqa: BLE001 - a process entry point: nothing above us but fork
            what = f"cannot make the container's first process: {type(err).__name__}: {err}"
            line.send_failure(RuntimeFailure(what))
    finally:
        os._exit(1)


def _live(orders: bytes, line: Channel, stdio: tuple[int, int, int]) -> None:
    container_id, flags, cgroup, procfs = marshal.loads(orders)  # noqa: S302 - our own
    leave_session()
    (line.fd,) = take_stdio(stdio, (line.fd,))
    syscalls.join_session_keyring(f"_ses.{container_id}")
    syscalls.unshare(flags & ~CloneFlag.NEWCGROUP)
    told, (*network,) = _receive(line.fd)
    if not told:
        os._exit(1)
    person, own_init = _person(marshal.loads(told))  # noqa: S302 - our own
    syscalls.setns(network[0], _NET)
    if cgroup:
        Cgroup.at(cgroup).join()
    if flags & CloneFlag.NEWCGROUP:
        syscalls.unshare(CloneFlag.NEWCGROUP)
    made = () if procfs is None else (_make_procfs(procfs),)
    _give_pipes(person)
    become.drop_bounding(person)
    _send(line.fd, b'{"kind":"ready"}', made)
    told, (*root,) = _receive(line.fd)
    if not told:
        os._exit(1)
    person = become.with_environment(person, "HOME", marshal.loads(told))  # noqa: S302 - our own
    pivot(Root(root[0]))
    close_all_but((line.fd,))
    become.take_user(person, bounded=True)
    candidates = become.find_program(person)
    become.close_walls(person)
    if own_init:
        reaper.fork_program()
    become.execute(person, candidates)


def _make_procfs(data: _Data) -> int:
    """Return a superblock of this pid namespace."""
    try:
        return new_superblock("proc", "proc", data)
    except OSError as err:
        raise failed('mount proc at "/proc"', err) from err


def _person(told: _Program) -> tuple[become.Person, bool]:
    process, environment, program, flags, optional, labels, own_init = told
    person = become.Person(
        process=cast("Process", process),
        environment=environment,
        filter=program,
        filter_flags=flags,
        optional_rlimits=optional,
        labels=tuple(Label(*label) for label in labels),
    )
    return person, own_init


def _give_pipes(person: become.Person) -> None:
    """Let the container's user own its pipes, so that it may open /dev/stdout again."""
    user = person.process.get("user") or {"uid": 0, "gid": 0}
    for number in (1, 2):
        if stat.S_ISFIFO(os.fstat(number).st_mode):
            os.fchown(number, user["uid"], user["gid"])


def _send(fd: int, data: bytes, fds: tuple[int, ...]) -> None:
    """Send one message with descriptors; a peer that is gone has said why, or says nothing."""
    with _borrowed(fd) as sock, suppress(BrokenPipeError, ConnectionResetError):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds).tobytes())] if fds else []
        sock.sendmsg([data], rights, socket.MSG_NOSIGNAL)


def _receive(fd: int) -> tuple[bytes, list[int]]:
    """Return one message and its descriptors; b"" at the end."""
    with _borrowed(fd) as sock:
        try:
            packet = sock.recvmsg(_MESSAGE_BYTES, _ROOM, socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:  # told first, and once, when a peer left something unread
            packet = sock.recvmsg(_MESSAGE_BYTES, _ROOM, socket.MSG_CMSG_CLOEXEC)
    fds = array("i")
    for level, kind, data in packet[1]:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(data)
    return packet[0], list(fds)


class _borrowed:  # noqa: N801 - a context manager
    """A descriptor as a socket for a while; it stays open."""

    def __init__(self, fd: int) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fileno=fd)

    def __enter__(self) -> socket.socket:
        return self._sock

    def __exit__(self, *_error: object) -> None:
        self._sock.detach()
