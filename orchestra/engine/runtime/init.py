"""The container's first process, from the fork to execve: named stages, each of which may fail.

Runs in the forked child. Until the pivot the host's tree is there, from then on nothing can be
imported or read of it; failures travel over the channel. Any exception ends in a message and
exit code 1, never in a return.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import CloneFlag, FsMagic, MountFlag
from orchestra.engine.linux.process import close_all_but
from orchestra.engine.runtime import become, borrowed, reaper
from orchestra.engine.runtime.beside import Beside
from orchestra.engine.runtime.cgroup import Cgroup
from orchestra.engine.runtime.console import (
    Console,
    bind_console,
    open_console,
    send_master,
    take_terminal,
)
from orchestra.engine.runtime.departure import leave_session, take_stdio
from orchestra.engine.runtime.devices import plan_devices
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.engine.runtime.hooks import run_hooks
from orchestra.engine.runtime.labels import mount_label
from orchestra.engine.runtime.mounts import Operation, make
from orchestra.engine.runtime.namespaces import NamespacePlan, enter
from orchestra.engine.runtime.options import propagation_of
from orchestra.engine.runtime.resolve import Root
from orchestra.engine.runtime.rootfs import cut_off, lay_over, make_readonly, pivot, plan_mounts
from orchestra.engine.runtime.sync import Channel
from orchestra.engine.runtime.sysctl import write_sysctls
from orchestra.engine.runtime.trees import PutTree, is_covered, is_mounted, protect
from orchestra.oci.runtime import Linux, RuntimeConfig, RuntimeState
from orchestra.values import dataclass, field


@dataclass(slots=True, kw_only=True)
class Birth:
    """All that the child needs, handed over by the fork itself."""

    container_id: str
    bundle: str
    rootfs: str
    config: RuntimeConfig
    namespaces: NamespacePlan
    cgroup: Cgroup
    born_in_cgroup: bool
    person: become.Person
    stdio: tuple[int, int, int]
    console_socket: int | None
    channel: Channel
    listener: int = -1
    """A listening socket on which a later ``start`` connects; -1: start comes by the channel."""
    new_keyring: bool = True
    """Whether it leaves the session keyring of its caller behind."""
    mapped: dict[str, int] = field(default_factory=dict)
    """Detached mounts with mapped owners, by destination."""
    beside: Beside | None = None
    """What its maker makes while it mounts; then it waits to be let into cgroup and network."""
    procfs: int = -1
    """A superblock of procfs, where another process mounts for it (attended.py)."""
    trees: Mapping[str, int] = field(default_factory=dict)
    """Detached trees that have been mounted ahead, by where they belong (trees.py)."""
    root: Root | None = None
    console: Console | None = None

    @property
    def linux(self) -> Linux:
        """Return config.json's linux part."""
        return self.config.get("linux") or {}

    @property
    def own_mounts(self) -> bool:
        """Tell whether nobody else is in its mount namespace."""
        return bool(self.namespaces.new & CloneFlag.NEWNS)

    def entered(self) -> Root:
        """Return the root, entered by now."""
        if self.root is None:
            raise RuntimeFailure("the root has not been entered")
        return self.root


def run(birth: Birth) -> NoReturn:
    """Go through the stages; the last one does not return."""
    try:
        failure = go_through(birth, STAGES) or RuntimeFailure("cannot execute")
        if birth.root is not None and not birth.own_mounts:
            borrowed.withdraw(birth.root)
        birth.channel.send_failure(failure)  # Whoever reads it kills us.
    finally:
        os._exit(1)


def go_through(
    birth: Birth, stages: Sequence[tuple[str, Callable[[Birth], None]]]
) -> RuntimeFailure | None:
    """Go through stages; return the failure of one."""
    stage = "begin"
    try:
        for name, action in stages:
            stage = name
            action(birth)
    except RuntimeFailure as failure:
        return failure
    except OSError as err:
        return failed(stage, err)
    except BaseException as err:  # noqa: BLE001 - a process entry point: nothing above us but fork
        return RuntimeFailure(f"cannot {stage}: {type(err).__name__}: {err}")
    return None


def _detach(birth: Birth) -> None:
    """Leave the launcher's session, memory protection, descriptors and signals behind."""
    leave_session(alone=birth.listener >= 0)
    keep_descriptors(birth)
    if birth.new_keyring:
        syscalls.join_session_keyring(f"_ses.{birth.container_id}")


def keep_descriptors(birth: Birth) -> None:
    """Put stdio on 0-2 and close everything but the channel and what is still needed."""
    console = birth.console_socket
    kept = [birth.channel.fd, *birth.mapped.values()]
    if birth.listener >= 0:
        kept.append(birth.listener)
    if console is not None:
        kept.append(console)
    moved = list(take_stdio(birth.stdio, kept, 3 + birth.person.preserved_fds))
    if console is not None:
        birth.console_socket = moved.pop()
    if birth.listener >= 0:
        birth.listener = moved.pop()
    birth.channel.fd, *mapped = moved
    birth.mapped = dict(zip(birth.mapped, mapped, strict=True))


def _map_user(birth: Birth) -> None:
    """Become root of the new user namespace, once its maker has mapped it."""
    if not birth.namespaces.new & CloneFlag.NEWUSER:
        return
    birth.channel.send({"kind": "map"})
    if birth.channel.receive() is None:
        os._exit(1)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _join_cgroup(birth: Birth) -> None:
    if not birth.born_in_cgroup and birth.beside is None:
        birth.cgroup.join()


def _enter_namespaces(birth: Birth) -> None:
    later = CloneFlag.NEWCGROUP if birth.beside else CloneFlag(0)
    enter(birth.namespaces, lambda: _set_clocks(birth), later)
    if birth.config.get("hostname"):
        syscalls.sethostname(birth.config["hostname"])
    if birth.config.get("domainname"):
        syscalls.setdomainname(birth.config["domainname"])


def _set_clocks(birth: Birth) -> None:
    """Let the runtime's side set them: /proc/self is not ours to write in a user namespace."""
    birth.channel.send({"kind": "clocks"})
    if birth.channel.receive() is None:
        os._exit(1)


def _enter_root(birth: Birth) -> None:
    """Take the root in; what lies outside of it sends its later mounts in, and gets none."""
    propagation, _ = _propagation(birth)
    if not birth.own_mounts:
        birth.root = lay_over(birth.rootfs)
        return
    apart = propagation in {MountFlag.PRIVATE, MountFlag.UNBINDABLE}
    cut_off(MountFlag.PRIVATE if apart else MountFlag.SLAVE)
    if birth.beside is not None:
        birth.beside.places()
    birth.root = lay_over(birth.rootfs)


def _be_let_in(birth: Birth) -> None:
    """Enter the cgroup and the network that were made meanwhile."""
    if birth.beside is None:
        return
    if birth.channel.receive() is None:
        os._exit(1)
    if not birth.born_in_cgroup:
        birth.cgroup.join()
    if birth.namespaces.new & CloneFlag.NEWCGROUP:
        syscalls.unshare(CloneFlag.NEWCGROUP)
    birth.beside.follow()


def _propagation(birth: Birth) -> tuple[MountFlag, bool]:
    name = birth.linux.get("rootfsPropagation") or "rslave"
    found = propagation_of(name)
    if found is None:
        raise RuntimeFailure(f'root propagation "{name}" is unknown')
    return found


def _mount(birth: Birth) -> None:
    """Make the mounts, then the devices in the /dev that came of them."""
    every = birth.config.get("mounts") or []
    mounts = [mount for mount in every if not is_mounted(mount, birth.trees)]
    inside = birth.namespaces.has(CloneFlag.NEWCGROUP)
    cgroups = birth.cgroup.seen_from_inside()
    label = mount_label(birth.linux.get("mountLabel") or "")
    operations: list[Operation] = [PutTree(top, tree) for top, tree in birth.trees.items()]
    operations += plan_mounts(
        mounts,
        birth.bundle,
        cgroups,
        own_cgroup_root=inside,
        mapped=birth.mapped,
        label=label,
        procfs=birth.procfs,
    )
    own_dev = not birth.trees and not any(
        mount["destination"].rstrip("/") == "/dev"
        and {"bind", "rbind"} & {mount.get("type", ""), *(mount.get("options") or [])}
        for mount in mounts
    )
    if own_dev:
        bound = birth.namespaces.has(CloneFlag.NEWUSER)
        operations += plan_devices(birth.linux.get("devices") or [], bound=bound)
    make(operations, birth.entered())


def _run_hooks(birth: Birth) -> None:
    """Let the runtime's side run its hooks, then run those of the container's namespace."""
    hooks = birth.config.get("hooks") or {}
    if hooks.get("prestart") or hooks.get("createRuntime"):
        birth.channel.send({"kind": "hooks"})
        if birth.channel.receive() is None:
            os._exit(1)
    run_hooks(hooks.get("createContainer") or [], _state(birth, "creating"), "createContainer")


def _state(birth: Birth, status: str) -> RuntimeState:
    return {
        "ociVersion": birth.config["ociVersion"],
        "id": birth.container_id,
        "status": "creating" if status == "creating" else "created",
        "pid": os.getpid(),
        "bundle": birth.bundle,
        "annotations": birth.config.get("annotations") or {},
    }


def _open_terminal(birth: Birth) -> None:
    if not birth.person.process.get("terminal"):
        return
    if birth.console_socket is None:
        raise RuntimeFailure("a terminal needs a console socket")
    size = birth.person.process.get("consoleSize")
    console = open_console(birth.entered(), size)
    send_master(birth.console_socket, console.master)
    bind_console(birth.entered(), console.slave)
    take_terminal(console, (birth.person.process.get("user") or {"uid": 0})["uid"])
    os.close(birth.console_socket)


def _set_sysctls(birth: Birth) -> None:
    write_sysctls(birth.linux.get("sysctl") or {}, birth.namespaces)


def _protect_paths(birth: Birth) -> None:
    """Make paths read-only and mask others; make the root read-only at last."""
    root, linux = birth.entered(), birth.linux
    types = {mount.get("type", "") for mount in birth.config.get("mounts") or []}
    kinds = frozenset(
        kind for name, kind in (("proc", FsMagic.PROC), ("sysfs", FsMagic.SYSFS)) if name in types
    )
    readonly = [
        path for path in linux.get("readonlyPaths") or [] if not is_covered(path, birth.trees)
    ]
    masked = [path for path in linux.get("maskedPaths") or [] if not is_covered(path, birth.trees)]
    _make_working_directory(birth)
    protect(root, readonly, masked, kinds)
    if birth.config["root"].get("readonly"):
        make_readonly(root)


def _make_working_directory(birth: Birth) -> None:
    """Make the working directory where the image has none, as docker does for WORKDIR."""
    path = birth.person.process.get("cwd", "/")
    if path == "/":
        return
    try:
        os.close(birth.entered().directory(path))
    except OSError as err:
        raise failed(f'make the working directory "{path}"', err) from err


def _find_home(birth: Birth) -> None:
    """Give the program a HOME, as docker does."""
    if "HOME" not in birth.person.environment:
        uid = (birth.person.process.get("user") or {"uid": 0})["uid"]
        home = become.home_of(birth.entered(), uid)
        birth.person = become.with_environment(birth.person, "HOME", home)


def _pivot(birth: Birth) -> None:
    root = birth.entered()
    if birth.own_mounts:
        pivot(root)
    else:
        borrowed.change_root(root)
    propagation, recursive = _propagation(birth)
    if propagation in {MountFlag.SHARED, MountFlag.UNBINDABLE}:
        # A peer group of its own: the root is a private copy, and the host's tree is gone.
        flags = propagation | MountFlag.REC if recursive else propagation
        syscalls.mount(None, "/", None, flags)
    fds = [birth.channel.fd, birth.listener]
    if birth.own_mounts:
        _leave_root(birth)
    else:
        fds.append(root.fd)  # To withdraw by, while the container may yet fail.
    kept = tuple(fd for fd in fds if fd >= 0)
    close_all_but(kept, 3 + birth.person.preserved_fds)


def _leave_root(birth: Birth) -> None:
    if birth.root is not None:
        os.close(birth.root.fd)
        birth.root = None


def _take_user(birth: Birth) -> None:
    become.take_user(birth.person)


def _await_start(birth: Birth) -> None:
    """Say that all is ready, and wait to be told to start."""
    _leave_root(birth)
    birth.channel.send({"kind": "ready"})
    if birth.listener >= 0:
        birth.channel.close()
        with socket.socket(fileno=birth.listener) as listener:
            birth.channel.fd = listener.accept()[0].detach()
    if birth.channel.receive() is None:
        os._exit(1)
    hooks = (birth.config.get("hooks") or {}).get("startContainer") or []
    run_hooks(hooks, _state(birth, "created"), "startContainer")


def _become(birth: Birth) -> None:
    candidates = become.find_program(birth.person)
    become.close_walls(birth.person)
    if (birth.config.get("annotations") or {}).get(reaper.ANNOTATION) == "true":
        reaper.fork_program()
    become.execute(birth.person, candidates)


STAGES: tuple[tuple[str, Callable[[Birth], None]], ...] = (
    ("leave the host's session", _detach),
    ("join the cgroup", _join_cgroup),
    ("map the user namespace", _map_user),
    ("enter the namespaces", _enter_namespaces),
    ("enter the root", _enter_root),
    ("enter the cgroup and the network", _be_let_in),
    ("mount", _mount),
    ("run hooks", _run_hooks),
    ("open the terminal", _open_terminal),
    ("set sysctls", _set_sysctls),
    ("protect paths", _protect_paths),
    ("find the home directory", _find_home),
    ("change the root", _pivot),
    ("become the user", _take_user),
    ("wait for start", _await_start),
    ("execute", _become),
)

PLACING: tuple[tuple[str, Callable[[Birth], None]], ...] = (
    ("enter the root", _enter_root),
    ("mount", _mount),
    ("set sysctls", _set_sysctls),
    ("protect paths", _protect_paths),
    ("find the home directory", _find_home),
)
"""What another process in the container's namespaces can do for it."""
