"""The parent's side: make a container up to its exec, start it, remove what is left of it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator

from orchestra.engine.runtime import become, borrowed, init, seccomp
from orchestra.engine.runtime.beside import Beside
from orchestra.engine.runtime.cgroup import Cgroup, remember_host
from orchestra.engine.runtime.config import load_config, rootfs_of
from orchestra.engine.runtime.failure import RuntimeFailure, failed
from orchestra.engine.runtime.hooks import run_hooks
from orchestra.engine.runtime.namespaces import (
    fork_into,
    plan_namespaces,
    write_clock_offsets,
    write_mappings,
)
from orchestra.engine.runtime.security import OPTIONAL_RLIMITS
from orchestra.engine.runtime.state import StateDirectory
from orchestra.engine.runtime.sync import Channel, channel_pair
from orchestra.oci.runtime import RuntimeConfig, RuntimeState, Status
from orchestra.values import dataclass

_MAPPED = frozenset({"idmap", "ridmap"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What the caller hands to the container's first process, and does meanwhile.

    With ``detach`` the container may outlive us, and another process starts it. The program gets
    ``preserved_fds`` descriptors from 3 on, which must be open, and ``environment`` with its own.
    ``beside``: what is made once the process is there; else the caller stands in the right network
    and mount namespaces, with the root mounted.
    """

    stdio: tuple[int, int, int]
    console_socket: int | None
    detach: bool = False
    preserved_fds: int = 0
    new_keyring: bool = True
    environment: tuple[str, ...] = ()
    meanwhile: Callable[[], None] | None = None
    beside: Beside | None = None


@dataclass(slots=True)
class Init:
    """A created container: ``pid`` is its first process, a child of the caller."""

    pid: int
    container_id: str
    bundle: str
    config: RuntimeConfig
    channel: Channel

    def start(self) -> None:
        """Let it execute its program; return once that runs. Reaps it on failure.

        :raises RuntimeFailure: when it cannot be executed (126, 127), or died before (125).
        """
        hooks = (self.config.get("hooks") or {}).get("poststart") or []
        try:
            self.channel.send({"kind": "go"})
            finish(self.channel)
            run_hooks(hooks, self.state("running"), "poststart")
        except RuntimeFailure:
            reap(self.pid)
            raise
        finally:
            self.channel.close()

    def state(self, status: Status) -> RuntimeState:
        """Return the state document that hooks read."""
        return state_document(self.config, self.container_id, self.bundle, status, self.pid)


def state_document(
    config: RuntimeConfig, container_id: str, bundle: str, status: Status, pid: int
) -> RuntimeState:
    """Return a state document (runtime.md, state)."""
    return {
        "ociVersion": config["ociVersion"],
        "id": container_id,
        "status": status,
        "pid": pid,
        "bundle": bundle,
        "annotations": config.get("annotations") or {},
    }


def finish(channel: Channel) -> None:
    """Wait until the other end is closed by a successful execve.

    :raises RuntimeFailure: the one that came instead.
    """
    while channel.receive() is not None:
        pass


def warm(bundle: str) -> None:
    """Do ahead what a later ``create`` of the bundle can reuse: its filter, the host's cgroups.

    For a launcher, before it forks the process that calls ``create``.

    :raises RuntimeFailure: when the bundle is unreadable or its profile wrong.
    """
    remember_host()
    profile = (load_config(bundle).get("linux") or {}).get("seccomp")
    if profile is not None:
        seccomp.compile_profile(profile)


def create(
    container_id: str,
    bundle: str,
    *,
    state_root: str,
    stdio: tuple[int, int, int],
    console_socket: int | None = None,
    meanwhile: Callable[[], None] | None = None,
    beside: Beside | None = None,
) -> Init:
    """Fork the container's first process and prepare it up to its exec.

    ``meanwhile`` is done beside that, and before any hook: what it raises ends it all.

    The caller is single-threaded. Its state is kept in STATE_ROOT/ID, see ``delete``.

    :raises RuntimeFailure: when it cannot be made; nothing is left then.
    """
    handed = Handed(stdio=stdio, console_socket=console_socket, meanwhile=meanwhile, beside=beside)
    return create_handed(container_id, bundle, handed, state_root=state_root)


def create_handed(container_id: str, bundle: str, handed: Handed, *, state_root: str) -> Init:
    """Create, as ``create``."""
    config = load_config(bundle)
    directory = StateDirectory(state_root, container_id)
    cgroup = cgroup_of(config, container_id)
    if handed.beside is not None and not cgroup.unified_directory():
        return _create_beside(directory, bundle, config, cgroup, handed)
    directory.make()
    with _undone(directory, cgroup):
        if handed.beside is not None:
            handed.beside.network()
        cgroup.create((config.get("linux") or {}).get("resources") or {})
        if handed.detach:
            directory.keep_config(config)
        listener = directory.listen() if handed.detach else -1
        try:
            created = _fork(directory, bundle, config, cgroup, handed, listener)
        finally:
            if listener >= 0:
                os.close(listener)
        with _ended(created):
            if handed.beside is not None:
                created.channel.send({"kind": "go"})
            _make_ready(directory, created, handed)
        return created


def _create_beside(
    directory: StateDirectory, bundle: str, config: RuntimeConfig, cgroup: Cgroup, handed: Handed
) -> Init:
    """Fork first: the child mounts while its cgroup and its network are made."""
    created = _fork(directory, bundle, config, cgroup, handed)
    with _ended(created):
        directory.make()
    with _undone(directory, cgroup), _ended(created):
        if handed.beside is not None:
            handed.beside.network()
        cgroup.create((config.get("linux") or {}).get("resources") or {})
        created.channel.send({"kind": "go"})
        _make_ready(directory, created, handed)
    return created


@contextlib.contextmanager
def _undone(directory: StateDirectory, cgroup: Cgroup) -> Iterator[None]:
    """Take cgroup and state away again when the block fails."""
    try:
        yield
    except BaseException:
        cgroup.delete()
        directory.remove()
        raise


@contextlib.contextmanager
def _ended(created: Init) -> Iterator[None]:
    """End the child when the block fails."""
    try:
        yield
    except BaseException:
        created.channel.close()
        reap(created.pid)
        raise


def cgroup_of(config: RuntimeConfig, container_id: str) -> Cgroup:
    """Return the cgroup that config.json names, else the one named after the container."""
    path = (config.get("linux") or {}).get("cgroupsPath")
    return Cgroup.at(path) if path else Cgroup.default(container_id)


def _fork(
    directory: StateDirectory,
    bundle: str,
    config: RuntimeConfig,
    cgroup: Cgroup,
    handed: Handed,
    listener: int = -1,
) -> Init:
    linux = config.get("linux") or {}
    optional = (config.get("annotations") or {}).get(OPTIONAL_RLIMITS, "")
    process = config.get("process") or {}
    if handed.environment:
        process = {**process, "env": [*(process.get("env") or []), *handed.environment]}
    person = become.prepare(
        process,
        linux.get("seccomp"),
        optional_rlimits=optional,
        personality=linux.get("personality"),
        preserved_fds=handed.preserved_fds,
    )
    namespaces = plan_namespaces(linux)
    mapped = _open_mapped(config, bundle)
    ours, theirs = channel_pair()
    cgroup_fd = cgroup.open()
    birth = init.Birth(
        container_id=directory.container_id,
        bundle=bundle,
        rootfs=rootfs_of(config, bundle),
        config=config,
        namespaces=namespaces,
        cgroup=cgroup,
        born_in_cgroup=cgroup_fd >= 0,
        person=person,
        stdio=handed.stdio,
        console_socket=handed.console_socket,
        channel=theirs,
        listener=listener,
        new_keyring=handed.new_keyring,
        mapped=mapped,
        beside=handed.beside,
    )
    try:
        pid = fork_into(namespaces, cgroup_fd)
        if pid == 0:
            init.run(birth)  # Never returns, whatever happens: above it is the parent's stack.
    except OSError as err:
        ours.close()
        raise failed("fork the container's init", err) from err
    finally:
        theirs.close()
        for fd in mapped.values():
            os.close(fd)
        if cgroup_fd >= 0:
            os.close(cgroup_fd)
    return Init(pid, directory.container_id, bundle, config, ours)


def _make_ready(directory: StateDirectory, created: Init, handed: Handed) -> None:
    """Write it down, and do what else is to be done while it mounts; then answer it."""
    config = created.config
    directory.write(created.pid, created.bundle, config.get("annotations") or {})
    adjust_oom_score(created.pid, config)
    if handed.meanwhile is not None:
        handed.meanwhile()
    _accompany(created)


def _open_mapped(config: RuntimeConfig, bundle: str) -> dict[str, int]:
    """Return open mounts with mapped owners, by destination."""
    names = {"uidMappings", "gidMappings"}
    mounts = [
        mount
        for mount in config.get("mounts") or []
        if not names.isdisjoint(mount) or not _MAPPED.isdisjoint(mount.get("options") or ())
    ]
    if not mounts:
        return {}
    from orchestra.engine.runtime import idmap  # noqa: PLC0415 - seldom asked for

    return idmap.open_mapped(mounts, bundle)


def _accompany(created: Init) -> None:
    """Answer the child until it is ready."""
    linux = created.config.get("linux") or {}
    hooks = created.config.get("hooks") or {}
    while True:
        message = created.channel.receive()
        if message is None:
            raise RuntimeFailure("the container's init died before it was ready")
        if message["kind"] == "ready":
            return
        if message["kind"] == "map":
            try:
                uids, gids = linux.get("uidMappings") or [], linux.get("gidMappings") or []
                write_mappings(created.pid, uids, gids)
            except OSError as err:
                raise failed("map the user namespace", err) from err
        elif message["kind"] == "clocks":
            write_clock_offsets(created.pid, plan_namespaces(linux).clock_offsets)
        elif message["kind"] == "hooks":
            # Older than "creating": prestart hooks were run by start once, and look for "created".
            run_hooks(hooks.get("prestart") or [], created.state("created"), "prestart")
            state = created.state("creating")
            run_hooks(hooks.get("createRuntime") or [], state, "createRuntime")
        created.channel.send({"kind": "go"})


def adjust_oom_score(pid: int, config: RuntimeConfig) -> None:
    """Set /proc/PID/oom_score_adj where asked (man 5 proc_pid_oom_score_adj)."""
    score = (config.get("process") or {}).get("oomScoreAdj")
    if score is None:
        return
    try:
        fd = os.open(f"/proc/{pid}/oom_score_adj", os.O_RDWR | os.O_CLOEXEC)
        try:
            if os.read(fd, 16).strip() != str(score).encode():
                os.write(fd, str(score).encode())
        finally:
            os.close(fd)
    except OSError as err:
        raise failed(f"set oom_score_adj to {score}", err) from err


def reap(pid: int) -> None:
    """Kill a child, if it still lives, and collect it."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def delete(container_id: str, bundle: str, *, state_root: str) -> tuple[str, ...]:
    """Remove what is left of an ended container: processes, cgroup, state; run poststop hooks.

    Nothing is missing where nothing is left. Hooks that fail do not keep the others from being
    run, nor the rest from going; what they said is returned.

    :raises RuntimeFailure: when the bundle is unreadable.
    """
    directory = StateDirectory(state_root, container_id)
    config = load_config(directory.config_directory(bundle))
    cgroup = cgroup_of(config, container_id)
    if cgroup.pids():
        cgroup.kill()
    cgroup.delete()
    if directory.exists:
        borrowed.leave(rootfs_of(config, bundle), config.get("linux") or {})
    hooks = (config.get("hooks") or {}).get("poststop") or []
    warnings = []
    for hook in hooks:
        try:
            state = state_document(config, container_id, bundle, "stopped", 0)
            run_hooks([hook], state, "poststop")
        except RuntimeFailure as failure:
            warnings.append(failure.message)
    directory.remove()
    return tuple(warnings)
