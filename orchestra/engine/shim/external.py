"""A runtime of another make (runc, crun, runsc) behind the same few verbs, by its command line.

Its complaints are read from its log, since its stdout and stderr are the container's.
"""


# No pathlib here: the process stays small.
# ruff: noqa: PTH106, PTH108

from __future__ import annotations

import json
import os
import socket
from collections.abc import Sequence
from contextlib import suppress

from orchestra.engine.linux import host, process, syscalls
from orchestra.engine.linux.flags import CloneFlag, MountFlag, UmountFlag
from orchestra.engine.runtime.cgroup import Cgroup
from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.engine.shim.console import listen_at, receive_master
from orchestra.engine.shim.failure import ShimFailure
from orchestra.engine.shim.identity import write_json
from orchestra.engine.shim.making import Making
from orchestra.oci.runtime import Process

_CONSOLE = "console.sock"
_LOG = "runtime.log"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
Stdio = tuple[int, int, int]


def oom_killed(cgroup: str) -> bool:
    """Tell whether the memory limit of a cgroup has killed a process."""
    try:
        return bool(cgroup) and Cgroup.at(cgroup).oom_kills() > 0
    except (RuntimeFailure, OSError):
        return False


def _remove_unified(cgroup: str) -> None:
    """Remove the empty directories that runc leaves in the v2 tree of a hybrid host."""
    unified = host.cgroups().unified
    while unified is not None and cgroup.strip("/"):
        with suppress(FileNotFoundError):
            os.rmdir(f"{unified.base()}{cgroup}")
        cgroup = cgroup.rpartition("/")[0]


def _hide_hybrid() -> None:
    """Show crun a v1 host where limits are v1's: it refuses one that has a v2 tree as well."""
    cgroups = host.cgroups()
    if cgroups.mode == "hybrid" and cgroups.unified is not None:
        syscalls.unshare(CloneFlag.NEWNS)
        syscalls.mount(None, "/", None, MountFlag.REC | MountFlag.SLAVE)
        syscalls.umount2(cgroups.unified.mountpoint, UmountFlag.DETACH)


class ExternalRuntime:
    """One container under an OCI runtime program; ``prefix`` is its argv."""

    def __init__(
        self,
        prefix: Sequence[str],
        container_id: str,
        run_directory: str,
        bundle: str,
        *,
        cgroup: str = "",
    ) -> None:
        self._prefix = list(prefix)
        self._id = container_id
        self._directory = run_directory
        self._bundle = bundle
        self._cgroup = cgroup

    def create(self, stdio: Stdio, *, tty: bool, making: Making) -> tuple[int, int | None]:
        """Make everything, and create the container; return its init's pid, and the pty's master.

        :raises ShimFailure: with the runtime's own words.
        """
        making.make_ready()
        making.furnish()
        verb = ["create", "--bundle", self._bundle]
        return self._launch(verb, "init", stdio, tty=tty)

    def start(self) -> None:
        """Let the init run the user's program.

        :raises ShimFailure: with the runtime's own words.
        """
        self._run(["start", self._id], None)

    def delete(self) -> None:
        """Kill what is left and remove every trace; what is already gone is no error."""
        with suppress(ShimFailure):
            self._run(["delete", "--force", self._id], None)
        with suppress(RuntimeFailure, OSError):
            if self._cgroup:
                Cgroup.at(self._cgroup).delete()  # and our own directories above it, when empty
                _remove_unified(self._cgroup)

    def execute(
        self, document: Process, stdio: Stdio, *, init: process.Identity, tty: bool
    ) -> tuple[int, int | None]:
        """Run a process in the container; return its pid, and the pty's master when ``tty``.

        The runtime itself is run in the network of the container's ``init``: config.json names
        none, so that it knows of none but its own.

        :raises ShimFailure: with the runtime's own words.
        """
        name = f"exec-{os.getpid()}"
        path = f"{self._directory}/{name}.json"
        write_json(path, document)
        try:
            verb = ["exec", "--detach", "--process", path]
            pidfd = process.pidfd_open(init)
            try:
                return self._launch(verb, name, stdio, tty=tty, pidfd=pidfd)
            finally:
                os.close(pidfd)
        except ProcessLookupError as err:
            raise ShimFailure("cannot run a process: the container does not run") from err
        finally:
            os.unlink(path)

    def oom_killed(self) -> bool:
        """Tell whether the memory limit has killed a process of the container."""
        return oom_killed(self._cgroup)

    def _launch(
        self, verb: list[str], name: str, stdio: Stdio, *, tty: bool, pidfd: int = -1
    ) -> tuple[int, int | None]:
        pid_file = f"{self._directory}/{name}.runtime.pid"
        console = listen_at(self._directory, _CONSOLE, socket.SOCK_STREAM) if tty else None
        # However long the path: the program inherits this descriptor under its number.
        directory = os.open(self._directory, os.O_PATH | os.O_DIRECTORY)
        os.set_inheritable(directory, console is not None)
        try:
            socket_path = f"/proc/self/fd/{directory}/{_CONSOLE}"
            extra = ["--console-socket", socket_path] if console else []
            arguments = [*verb, "--pid-file", pid_file, *extra, self._id]
            self._run(arguments, None if tty else stdio, pidfd)
            master = self._accept(console) if console else None
            pid = int(process.read_text(pid_file))
            os.unlink(pid_file)
            return pid, master
        finally:
            os.close(directory)
            if console:
                console.close()

    def _accept(self, console: socket.socket) -> int:
        console.settimeout(10)
        with console.accept()[0] as connection:
            return receive_master(connection)

    def _run(self, arguments: list[str], stdio: Stdio | None, pidfd: int = -1) -> None:
        log = f"{self._directory}/{_LOG}"
        root = f"{self._directory}/runtime"
        argv = [*self._prefix, "--root", root, "--log", log, "--log-format", "json", *arguments]
        pid = os.fork()
        if pid == 0:
            self._exec(argv, stdio, pidfd)
        code = process.wait_exit(pid)["code"]
        if code:
            raise _explain(log, argv[0], code)

    def _exec(self, argv: list[str], stdio: Stdio | None, pidfd: int) -> None:
        try:
            if pidfd >= 0:
                syscalls.setns(pidfd, CloneFlag.NEWNET)
            os.chdir(self._directory)
            if os.path.basename(argv[0]) == "crun":  # noqa: PTH119
                _hide_hybrid()
            for target, fd in enumerate(stdio or ()):
                os.dup2(fd, target)
            process.reset_signals()
            os.execvpe(argv[0], argv, {"PATH": _PATH})  # noqa: S606 - no shell is the point
        finally:
            os._exit(127)


def _explain(log: str, program: str, code: int) -> ShimFailure:
    message = f'cannot run the runtime "{program}": not found' if code == 127 else ""
    try:
        for line in process.read_text(log).splitlines():
            entry = json.loads(line)
            if isinstance(entry, dict) and entry.get("level") == "error":
                message = str(entry.get("msg", message))
        os.unlink(log)
    except (OSError, ValueError):
        pass
    return ShimFailure(message or f'"{program}" failed with code {code}', exit_code=_code(message))


def _code(message: str) -> int:
    """Return docker's code for a program that was not started, by what its runtime says."""
    said = message.lower()
    if "chdir" in said:  # it is not the program that is missing
        return 125
    if "not found" in said or "no such file" in said:
        return 127
    return 126 if "permission denied" in said else 125
