"""The launcher's loop: conversations in, forks out, sockets held, one program kept alive.

Single-threaded and standard library only, so that a fork is a shim. It never blocks on a client
or a container: whatever takes time is done by the process it forks.
"""

# No pathlib here: the process stays small.
# ruff: noqa: PTH108, PTH110, PTH115, PTH208

from __future__ import annotations

import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from orchestra.engine.launcher import cgroups
from orchestra.engine.launcher.children import Child, is_ours
from orchestra.engine.launcher.holdings import Holdings
from orchestra.engine.launcher.midwife import Midwife
from orchestra.engine.launcher.nursery import Nursery
from orchestra.engine.launcher.records import Orphans
from orchestra.engine.launcher.ward import Ward, watch_removals
from orchestra.engine.linux import process
from orchestra.engine.shim import identity, native, wire
from orchestra.engine.shim.adoption import Adopter, reopen_sockets
from orchestra.engine.shim.birth import ShimTask
from orchestra.engine.shim.execution import serve_exec
from orchestra.engine.shim.failure import ShimFailure, because, failed
from orchestra.engine.shim.monitor import REQUEST_LINK, Monitor, reap_on_signal
from orchestra.engine.shim.protocol import (
    INIT_FILE,
    LAUNCHER_SOCKET,
    SHIM_FILE,
)
from orchestra.engine.shim.pump import Loop
from orchestra.engine.shim.request import read_request

_ADOPTIONS_MAX = 5


class Launcher:
    """One per project; ``listener`` is its socket, or ``control`` its owner's line (private)."""

    def __init__(
        self, directory: str, listener: socket.socket | None, control: socket.socket | None
    ) -> None:
        self._directory = directory
        self._listener = listener
        self._control = control
        self._loop = Loop()
        self._children: dict[int, Child] = {}
        self._foreign: dict[int, str] = {}
        self._conversations: dict[int, socket.socket] = {}
        self._holdings = Holdings()
        self._ward = Ward()
        self._orphans = Orphans()
        self._nursery = Nursery(Midwife(self._fork, self._loop, directory if listener else ""))
        self._adoptions: dict[str, int] = {}
        self._quitting = False
        self._wakeup = reap_on_signal()

    def main(self) -> None:
        """Serve until told to quit, or until the owner is gone, and nothing is left."""
        process.set_child_subreaper()
        native.remember_host()
        loop = self._loop
        loop.watch(self._wakeup, lambda _: self._reap())
        if self._listener:
            self._listener.settimeout(0)
            loop.watch(self._listener.fileno(), lambda _: self._accept())
            watch_removals(loop, self._directory, self._look_for_socket)
            self._recover()
        if self._control:
            self._control.settimeout(0)
            loop.watch(self._control.fileno(), lambda _: self._accept_from_owner())
        loop.run(self._prepare)

    def _prepare(self) -> float | None:
        """Before each wait: tell subscribers, restart the ward, see whether this is the end."""
        waiting, gone = self._holdings.flush()
        for fd in gone:
            self._hang_up(fd)
        for fd in waiting:
            if fd not in gone:
                self._watch_subscriber(fd, select.POLLIN | select.POLLOUT)
        if self._quitting and not self._children and not self._foreign:
            if not self._nursery.rest():
                return 1.0
            self._end()
        return None if self._quitting else self._ward.revive(self._fork_program)

    def _end(self) -> None:
        """Stop, unless somebody has just called."""
        if self._listener:
            with suppress(OSError):
                os.unlink(f"{self._directory}/{LAUNCHER_SOCKET}")
            with suppress(OSError):
                self._accept(once=True)
            for conversation in self._conversations.values():
                conversation.close()
            cgroups.prune(self._directory)
        self._ward.end()
        self._nursery.end()
        self._loop.stop()

    def _look_for_socket(self) -> None:
        """End when somebody deleted our socket: nobody can reach us any more."""
        if not os.path.exists(f"{self._directory}/{LAUNCHER_SOCKET}"):
            self._end()

    def _accept(self, *, once: bool = False) -> None:
        if self._listener is None:
            return
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if is_ours(connection):
                self._begin(connection)
            else:
                connection.close()
            if once:
                return

    def _accept_from_owner(self) -> None:
        """Take the conversations that the owner of a private launcher sends as sockets."""
        if self._control is None:
            return
        try:
            received = wire.receive(self._control)
        except BlockingIOError:
            return
        except OSError:
            received = None
        if received is None:
            self._loop.forget(self._control.fileno())
            self._quitting = True
            return
        for fd in received[1]:
            self._begin(socket.socket(fileno=fd))

    def _begin(self, connection: socket.socket) -> None:
        connection.settimeout(0)
        wire.enlarge(connection)
        fd = connection.fileno()
        self._conversations[fd] = connection
        self._loop.watch(fd, lambda _: self._hear(fd))

    def _hang_up(self, fd: int) -> None:
        self._loop.forget(fd)
        if not self._holdings.unsubscribe(fd):
            connection = self._conversations.pop(fd, None)
            if connection is not None:
                connection.close()

    def _hear(self, fd: int) -> None:
        """Read a conversation's request and see to it."""
        connection = self._conversations[fd]
        try:
            received = wire.receive(connection)
        except BlockingIOError:
            return
        except OSError:
            received = None
        if received is None:
            self._hang_up(fd)
            return
        message, fds = received
        try:
            self._dispatch(message, connection, fds)
        except ShimFailure as failure:
            self._reply(connection, dict(failed(failure)))
        except OSError as err:
            self._reply(connection, dict(failed(because("cannot launch", err))))
        finally:
            wire.close_all(fds)
        if fd in self._conversations:
            self._hang_up(fd)

    def _dispatch(
        self, message: dict[str, object], connection: socket.socket, fds: list[int]
    ) -> None:
        operation = message.get("op")
        if operation in {"start", "adopt"}:
            adopt, path = operation == "adopt", str(message.get("request"))
            if "plain" in message and not adopt:
                self._start_plain(str(message["plain"]), path, connection)
            else:
                self._start(path, connection, fds, adopt=adopt)
        elif operation == "exec":
            self._exec(message, connection, fds)
        elif operation == "sockets":
            fd = connection.fileno()
            del self._conversations[fd]
            self._holdings.subscribe(connection)
            self._watch_subscriber(fd, select.POLLIN)
        elif operation == "supervise":
            pid = self._ward.begin(message, self._fork_program)
            self._quitting = False
            self._reply(connection, {"ok": True, "pid": pid})
        elif operation == "quit":
            self._quitting = True
            self._reply(connection, {"ok": True})
        else:
            raise ShimFailure(f'there is no operation "{operation}"')

    def _reply(self, connection: socket.socket, message: dict[str, object]) -> None:
        with suppress(OSError):
            wire.send(connection, message)

    def _subscriber_ready(self, fd: int, events: int) -> None:
        """Note the end of a subscriber; room to write is used by the next _prepare."""
        if events & ~select.POLLOUT:
            self._hang_up(fd)
        else:
            self._watch_subscriber(fd, select.POLLIN)

    def _watch_subscriber(self, fd: int, events: int) -> None:
        self._loop.watch(fd, lambda ready: self._subscriber_ready(fd, ready), events)

    def _start_plain(self, container_id: str, path: str, connection: socket.socket) -> None:
        """Fork the shim of a plain container, having looked at nothing: see vigil.py."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            pid = self._nursery.bear(path, (connection, theirs))
        self._quitting = False
        child = Child(container_id, shim=True, plain=True, request_path=path, channel=ours)
        self._watch_channel(pid, child)

    def _start(
        self, path: str, connection: socket.socket | None, fds: list[int], *, adopt: bool
    ) -> None:
        """Fork the shim of a new container, or one for a container that lost its own."""
        request = read_request(path)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sink = connection or theirs
        if not request["runtime"]:
            native.warm(request["bundle"])

        def body() -> None:
            sink.settimeout(None)
            task = ShimTask(request, path, sink, theirs, tuple(fds))
            if adopt:
                Adopter(task, sockets=self._holdings.get(request["id"]) is None).main()
            else:
                Monitor(task).main()

        keep = (sink.fileno(), theirs.fileno(), *fds)
        pid = self._fork(body, keep)
        theirs.close()
        self._quitting = self._quitting and connection is None
        self._watch_channel(pid, Child(request["id"], shim=True, request_path=path, channel=ours))

    def _watch_channel(self, pid: int, child: Child) -> None:
        self._children[pid] = child
        if child.channel is not None:
            child.channel.settimeout(0)
            self._loop.watch(child.channel.fileno(), lambda _: self._hold(child))

    def _hold(self, child: Child) -> None:
        """Take sockets from a shim; the end of its channel says nothing, its death does."""
        try:
            received = wire.receive(child.channel) if child.channel else None
        except BlockingIOError:
            return
        except OSError:
            received = None
        if received is None:
            self._close_channel(child)
            return
        message, fds = received
        if message.get("op") == "warm":
            self._learn(str(message.get("bundle")))
        elif message.get("op") == "hold":  # else an adopter says how it went, to nobody
            self._holdings.take(child.id, message, fds, later=child.plain)
        elif message.get("op") == "born":
            self._holdings.tell(child.id)

    def _learn(self, bundle: str) -> None:
        """Compile a filter for all that are forked later."""
        if native.warm(bundle):
            self._nursery.close()  # the next one has it

    def _close_channel(self, child: Child) -> None:
        self._holdings.tell(child.id)
        if child.channel is not None:
            self._loop.forget(child.channel.fileno())
            child.channel.close()
            child.channel = None

    def _exec(self, message: dict[str, object], connection: socket.socket, fds: list[int]) -> None:
        def body() -> None:
            connection.settimeout(None)
            serve_exec(message, connection, fds, f"{self._directory}/containers")

        pid = self._fork(body, (connection.fileno(), *fds))
        self._children[pid] = Child("")

    def _fork_program(self, argv: Sequence[str], env: dict[str, str]) -> int:
        """Run another program in a session of its own, with nothing of ours open."""

        def body() -> None:
            process.reset_signals()
            os.execve(argv[0], list(argv), env)  # noqa: S606 - no shell is the point

        return self._fork(body, ())

    def _fork(self, body: Callable[[], None], keep: tuple[int, ...]) -> int:
        pid = os.fork()
        if pid:
            return pid
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            os.setsid()
            process.close_all_but(keep)
            body()
            code = 0
        except BaseException:  # noqa: BLE001 - the entry point of a process
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)

    def _reap(self) -> None:
        """Reap every child that has ended, those that came to us as orphans among them."""
        with suppress(BlockingIOError):
            os.read(self._wakeup, 4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for keeper in (self._ward, self._orphans, self._nursery):
                keeper.ended(pid, status)
            child = self._children.pop(pid, None)
            if child is not None:
                self._hold(child)
                self._close_channel(child)
                if child.shim:
                    self._shim_ended(child, status)

    def _shim_ended(self, child: Child, status: int) -> None:
        """Give up a container's sockets, unless it lives on: then it gets a new shim."""
        with suppress(OSError, ShimFailure):
            request = read_request(child.request_path)
            directory, tries = request["run_directory"], self._adoptions.get(child.id, 0)
            if identity.is_alive(f"{directory}/{SHIM_FILE}"):
                return  # another has its place: two were asked for, by us and by a supervisor
            if status and identity.is_alive(f"{directory}/{INIT_FILE}") and tries < _ADOPTIONS_MAX:
                self._adoptions[child.id] = tries + 1
                self._orphans.expect(directory)
                self._start(child.request_path, None, [], adopt=True)
                return
        self._adoptions.pop(child.id, None)
        self._holdings.release(child.id)

    def _recover(self) -> None:
        """Find the containers of a launcher before us: hold their sockets, adopt the shimless."""
        directory = f"{self._directory}/containers"
        cgroups.sweep(self._directory)
        with suppress(FileNotFoundError):
            for name in sorted(os.listdir(directory)):
                with suppress(OSError, ShimFailure):
                    self._recover_one(f"{directory}/{name}")

    def _recover_one(self, run_directory: str) -> None:
        path = os.readlink(f"{run_directory}/{REQUEST_LINK}")
        if not identity.is_alive(f"{run_directory}/{INIT_FILE}"):
            return
        shim = identity.read_identity(f"{run_directory}/{SHIM_FILE}")
        if shim is None or not process.is_alive(shim):
            self._start(path, None, [], adopt=True)
            return
        request = read_request(path)
        pidfd = process.pidfd_open(shim)
        self._foreign[pidfd] = request["id"]
        self._loop.watch(pidfd, lambda _: self._foreign_ended(pidfd, path))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = self._fork(lambda: reopen_sockets(request, theirs), (theirs.fileno(),))
        theirs.close()
        self._watch_channel(pid, Child(request["id"], channel=ours))

    def _foreign_ended(self, pidfd: int, path: str) -> None:
        self._loop.forget(pidfd)
        os.close(pidfd)
        container_id = self._foreign.pop(pidfd)
        self._shim_ended(Child(container_id, shim=True, request_path=path), 1)
