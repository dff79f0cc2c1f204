"""The native runtime, in the shim's own process."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from orchestra.engine.linux import process
from orchestra.engine.runtime import create as runtime_create
from orchestra.engine.runtime import exec as runtime_exec
from orchestra.engine.runtime import seccomp
from orchestra.engine.runtime.beside import Beside, may_be_beside
from orchestra.engine.runtime.cgroup import remember_host as remember_cgroups
from orchestra.engine.runtime.create import Init
from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.engine.shim.console import receive_master
from orchestra.engine.shim.external import Stdio, oom_killed
from orchestra.engine.shim.failure import ShimFailure
from orchestra.engine.shim.making import Making
from orchestra.engine.shim.protocol import ShimRequest
from orchestra.oci.runtime import Process, RuntimeConfig

STATE_DIRECTORY = "native"


class NativeRuntime:
    """One container of the native runtime, its init a child of this process."""

    def __init__(self, request: ShimRequest, config: RuntimeConfig) -> None:
        self._id = request["id"]
        self._bundle = request["bundle"]
        self._state_root = state_root(request)
        self._config = config
        self._cgroup_path = config.get("linux", {}).get("cgroupsPath", "")
        self._init: Init | None = None

    def create(self, stdio: Stdio, *, tty: bool, making: Making) -> tuple[int, int | None]:
        """Create the container; return its init's pid, and the pty's master when ``tty``.

        Its root is mounted by the init itself where that may be.

        :raises ShimFailure: in the runtime's own words.
        """
        places = places_of(making)

        def make(console: int | None) -> int:
            beside: Beside | None = None
            if may_be_beside(self._config):
                beside = Beside(places=places, network=making.network, maker=os.getpid())
            else:
                making.make_ready()
            self._init = runtime_create.create(
                self._id,
                self._bundle,
                state_root=self._state_root,
                stdio=stdio,
                console_socket=console,
                meanwhile=making.furnish,
                beside=beside,
            )
            return self._init.pid

        return _with_console(make, tty=tty)

    def start(self) -> None:
        """Let the init run the user's program; return once it does.

        :raises ShimFailure: when it cannot be executed (126, 127).
        """
        if self._init is not None:
            with _translated():
                self._init.start()

    def oom_killed(self) -> bool:
        """Tell whether the memory limit has killed a process of the container."""
        return oom_killed(self._cgroup_path)

    def delete(self) -> None:
        """Kill what is left of the container, remove its cgroup, run its poststop hooks."""
        try:
            runtime_create.delete(self._id, self._bundle, state_root=self._state_root)
        except (RuntimeFailure, OSError):
            return


def state_root(request: ShimRequest) -> str:
    """Return where the runtime keeps the container's state."""
    return f"{request['run_directory']}/{STATE_DIRECTORY}"


def places_of(making: Making) -> Callable[[], None]:
    """Return what makes a container's places, for the runtime to call: it fails as that does."""

    def places() -> None:
        try:
            making.places()
        except ShimFailure as failure:
            raise RuntimeFailure(
                failure.message, errno=failure.errno, exit_code=failure.exit_code
            ) from failure

    return places


def warm(bundle: str) -> bool:
    """Do ahead, in the launcher, what all its children can share; what is wrong is told later.

    Tell whether it was worth it: a filter was compiled.
    """
    known = programs_known()
    with suppress(RuntimeFailure, OSError):
        runtime_create.warm(bundle)
    return programs_known() > known


def remember_host() -> None:
    """Look at the host once, for all processes forked from here."""
    with suppress(OSError):
        remember_cgroups()
        process.boot_id()


def programs_known() -> int:
    """Return how many filters are compiled: more than before are worth telling the launcher."""
    return seccomp.programs_known()


def execute(
    init_pid: int, document: Process, config: RuntimeConfig, stdio: Stdio, *, tty: bool
) -> tuple[int, int | None]:
    """Run a process in a container; return its pid, and the pty's master when ``tty``.

    :raises ShimFailure: in the runtime's own words.
    """

    def make(console: int | None) -> int:
        return runtime_exec.execute(
            init_pid, document, config=config, stdio=stdio, console_socket=console
        )

    return _with_console(make, tty=tty)


def rehearse_execute() -> None:
    """Get ready for ``execute``, which will say what is wrong, if anything is."""
    with suppress(RuntimeFailure, OSError):
        runtime_exec.rehearse()


def _with_console(make: Callable[[int | None], int], *, tty: bool) -> tuple[int, int | None]:
    """Call ``make`` with the socket that takes the terminal's master, where one is wanted."""
    with _translated():
        if not tty:
            return make(None), None
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                pid = make(theirs.fileno())
            return pid, receive_master(ours)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except RuntimeFailure as failure:
        raise ShimFailure(
            failure.message, errno=failure.errno, exit_code=failure.exit_code
        ) from failure
