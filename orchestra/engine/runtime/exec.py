"""A further process in a running container: its namespaces, its cgroup, the walls of its bundle."""

from __future__ import annotations

import fcntl
import os
import signal
from typing import NoReturn

from orchestra.engine.linux import process as processes
from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import CloneFlag, Prctl
from orchestra.engine.runtime import become
from orchestra.engine.runtime.cgroup import Cgroup
from orchestra.engine.runtime.console import open_console, send_master, take_terminal
from orchestra.engine.runtime.create import adjust_oom_score, finish, reap
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.engine.runtime.namespaces import fork_in_pid_namespace
from orchestra.engine.runtime.resolve import Root
from orchestra.engine.runtime.security import OPTIONAL_RLIMITS
from orchestra.engine.runtime.sync import Channel, channel_pair
from orchestra.oci.runtime import Process, RuntimeConfig
from orchestra.values import dataclass

_JOINED = (
    ("ipc", CloneFlag.NEWIPC),
    ("uts", CloneFlag.NEWUTS),
    ("net", CloneFlag.NEWNET),
    ("cgroup", CloneFlag.NEWCGROUP),
    ("time", CloneFlag.NEWTIME),
    ("mnt", CloneFlag.NEWNS),
)


@dataclass(slots=True, kw_only=True)
class _Entry:
    """All that the child needs, handed over by the fork itself."""

    pidfd: int
    cgroup: Cgroup
    born_in_cgroup: bool
    namespaces: CloneFlag
    user_namespace: bool
    person: become.Person
    stdio: tuple[int, int, int]
    console_socket: int | None
    channel: Channel


def execute(
    init_pid: int,
    process: Process,
    *,
    config: RuntimeConfig,
    stdio: tuple[int, int, int],
    console_socket: int | None = None,
    preserved_fds: int = 0,
    cgroup: Cgroup | None = None,
) -> int:
    """Run a process in the container whose init is ``init_pid``; return its pid, a child of ours.

    Returns once execve has succeeded. Filter, no_new_privs, masks and what the kernel's killer is
    told (oom_score_adj) are the container's; user, capabilities, limits, directory and environment
    are the process's own. ``cgroup``: another than that of the init.

    :raises RuntimeFailure: 127 or 126 when it cannot be executed, 125 when the container is gone.
    """
    try:
        identity = processes.identity(init_pid)
        pidfd = processes.pidfd_open(identity)
    except ProcessLookupError as err:
        raise RuntimeFailure("container not running", errno=err.errno or 0) from err
    try:
        return _execute(
            init_pid, pidfd, process, config, stdio, console_socket, preserved_fds, cgroup
        )
    finally:
        os.close(pidfd)


def _execute(
    init_pid: int,
    pidfd: int,
    process: Process,
    config: RuntimeConfig,
    stdio: tuple[int, int, int],
    console_socket: int | None,
    preserved_fds: int,
    cgroup: Cgroup | None,
) -> int:
    person = become.prepare(
        _with_walls(process, config),
        (config.get("linux") or {}).get("seccomp"),
        optional_rlimits=(config.get("annotations") or {}).get(OPTIONAL_RLIMITS, ""),
        personality=(config.get("linux") or {}).get("personality"),
        preserved_fds=preserved_fds,
    )
    try:
        cgroup = cgroup or Cgroup.of_process(init_pid)
        namespaces = _foreign_namespaces(init_pid)
        user_namespace = _is_foreign(init_pid, "user")
    except OSError as err:
        raise RuntimeFailure("container not running", errno=err.errno or 0) from err
    ours, theirs = channel_pair()
    cgroup_fd = cgroup.open()
    entry = _Entry(
        pidfd=pidfd,
        cgroup=cgroup,
        born_in_cgroup=cgroup_fd >= 0,
        namespaces=namespaces,
        user_namespace=user_namespace,
        person=person,
        stdio=stdio,
        console_socket=console_socket,
        channel=theirs,
    )
    try:
        pid = fork_in_pid_namespace(pidfd, cgroup_fd)
        if pid == 0:
            _run(entry)  # Never returns, whatever happens: above it is the parent's stack.
    except OSError as err:
        ours.close()
        raise failed("fork into the container", err) from err
    finally:
        theirs.close()
        if cgroup_fd >= 0:
            os.close(cgroup_fd)
    try:
        adjust_oom_score(pid, config)
        finish(ours)
    except BaseException:
        reap(pid)
        raise
    finally:
        ours.close()
    return pid


def rehearse() -> None:
    """Do what can be done before it is known what is to run, and where.

    A process that is fresh from a fork shares its pages until it writes there: these are its own
    then, and what is to run need not wait for that.

    :raises OSError, RuntimeFailure: as ``execute``.
    """
    pid = os.getpid()
    os.close(processes.pidfd_open(processes.identity(pid)))
    become.prepare({"args": ["/"], "cwd": "/"}, None)
    Cgroup.of_process(pid)
    _foreign_namespaces(pid)
    for channel in channel_pair():
        channel.close()


def _with_walls(process: Process, config: RuntimeConfig) -> Process:
    """Give a process the container's no_new_privs; capabilities and labels where it has none."""
    container = config.get("process") or {}
    merged: Process = {**process}
    if container.get("noNewPrivileges"):
        merged["noNewPrivileges"] = True
    if "capabilities" not in process and "capabilities" in container:
        merged["capabilities"] = container["capabilities"]
    if not process.get("apparmorProfile") and "apparmorProfile" in container:
        merged["apparmorProfile"] = container["apparmorProfile"]
    if not process.get("selinuxLabel") and "selinuxLabel" in container:
        merged["selinuxLabel"] = container["selinuxLabel"]
    return merged


def _foreign_namespaces(pid: int) -> CloneFlag:
    flags = CloneFlag(0)
    for name, flag in _JOINED:
        if _is_foreign(pid, name):
            flags |= flag
    return flags


def _is_foreign(pid: int, name: str) -> bool:
    """Tell whether a process's namespace of a kind is another than ours."""
    theirs = os.readlink(f"/proc/{pid}/ns/{name}")  # noqa: PTH115 - pathlib is 8 ms of import
    return theirs != os.readlink(f"/proc/self/ns/{name}")  # noqa: PTH115 - as above


def _run(entry: _Entry) -> NoReturn:
    """Enter the container and execute, or send why not."""
    stage = "enter the container"
    try:
        _detach(entry)
        if not entry.born_in_cgroup:
            entry.cgroup.join()
        _enter(entry)
        stage = "open the terminal"
        _prepare_inside(entry)
        stage = "execute"
        become.take_user(entry.person)
        candidates = become.find_program(entry.person)
        become.close_walls(entry.person)
        become.execute(entry.person, candidates)
    except RuntimeFailure as failure:
        entry.channel.send_failure(failure)
    except OSError as err:
        entry.channel.send_failure(failed(stage, err))
    except BaseException as err:  # noqa: BLE001 - a process entry point: nothing above us but fork
        entry.channel.send_failure(RuntimeFailure(f"cannot {stage}: {type(err).__name__}: {err}"))
    finally:
        os._exit(1)


def _detach(entry: _Entry) -> None:
    """Be unreadable before the container can see us (CVE-2016-9962, CVE-2019-5736)."""
    syscalls.prctl(Prctl.SET_DUMPABLE, 0)
    syscalls.prctl(Prctl.SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    processes.reset_signals()
    first = 3 + entry.person.preserved_fds
    high, lowest = fcntl.F_DUPFD_CLOEXEC, max(10, first)
    entry.channel.fd = fcntl.fcntl(entry.channel.fd, high, lowest)
    entry.pidfd = fcntl.fcntl(entry.pidfd, high, lowest)
    if entry.console_socket is not None:
        entry.console_socket = fcntl.fcntl(entry.console_socket, high, lowest)
    copies = [fcntl.fcntl(fd, high, lowest) for fd in entry.stdio]
    for number, copy in enumerate(copies):
        os.dup2(copy, number, inheritable=True)
    kept = (entry.channel.fd, entry.pidfd, entry.console_socket or -1)
    processes.close_all_but(tuple(fd for fd in kept if fd >= 0), first)
    syscalls.join_session_keyring("_ses.exec")


def _enter(entry: _Entry) -> None:
    """Join the namespaces through the pidfd: all of one process, which cannot be another by now."""
    if entry.user_namespace:
        syscalls.setns(entry.pidfd, CloneFlag.NEWUSER)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    if entry.namespaces:
        syscalls.setns(entry.pidfd, entry.namespaces)
    os.close(entry.pidfd)
    entry.pidfd = -1


def _prepare_inside(entry: _Entry) -> None:
    """Open the terminal and find the home directory, inside."""
    root = Root(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
    person = entry.person
    uid = (person.process.get("user") or {"uid": 0})["uid"]
    if "HOME" not in person.environment:
        entry.person = become.with_environment(person, "HOME", become.home_of(root, uid))
    if person.process.get("terminal"):
        if entry.console_socket is None:
            raise RuntimeFailure("a terminal needs a console socket")
        console = open_console(root, person.process.get("consoleSize"))
        send_master(entry.console_socket, console.master)
        take_terminal(console, uid)
    os.close(root.fd)
    processes.close_all_but((entry.channel.fd,), 3 + person.preserved_fds)
