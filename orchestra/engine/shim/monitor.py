"""One container's shim: brings it up, keeps its output, waits for its end, writes it down, ends.

Runs in a process forked for it from the launcher, single-threaded. Its death is the exit event:
exit.json is written as its last act.
"""

# No pathlib here: the process stays small.
# ruff: noqa: PTH108, PTH211

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
from contextlib import suppress

from orchestra.engine.linux import process
from orchestra.engine.linux.directories import make_private
from orchestra.engine.shim import stdio, wire
from orchestra.engine.shim.birth import ShimTask, bring_up, now_text, read_config
from orchestra.engine.shim.console import Attachments, hold_peer, listen_at, set_window
from orchestra.engine.shim.driver import Driver, driver_of
from orchestra.engine.shim.failure import ShimFailure, because, failed
from orchestra.engine.shim.identity import write_json
from orchestra.engine.shim.log import Log, open_log
from orchestra.engine.shim.protocol import (
    ATTACH_SOCKET,
    EXIT_FILE,
    INIT_FILE,
    SHIM_FILE,
    ExitRecord,
)
from orchestra.engine.shim.pump import Input, Loop, Output

LOCK_FILE = "shim.lock"
REQUEST_LINK = "request"


class Monitor:
    """A container's life as its shim sees it; make one per process."""

    receiver_must_answer = True
    """Whether a log receiver that is away may keep the container from starting."""

    def __init__(self, task: ShimTask) -> None:
        self._request = task.request
        self._task = task
        self._run = task.request["run_directory"]
        self._loop = Loop()
        self._outputs: list[Output] = []
        self._attachments: Attachments | None = None
        self._log: Log | None = None
        self._read_out: set[int] = set()
        self._input: Input | None = None
        self._master: int | None = None
        self._driver: Driver | None = None
        self._init = 0
        self._pidfd = -1
        self._started_at = ""
        self._lock = -1
        self._reaper = -1

    def main(self) -> None:
        """Start the container, answer, and stay until it has ended."""
        ignore_signals()
        process.set_child_subreaper()
        try:
            self.claim()
            self._launch()
        except ShimFailure as failure:
            self.give_up(failure)
            return
        except OSError as err:
            self.give_up(because("cannot start the container", err))
            return
        self._answer()
        self._serve()
        self._finish()

    def claim(self) -> None:
        """Let nobody else become this container's shim, and leave word where its request lies.

        :raises ShimFailure: when another shim lives.
        """
        self.claim_lock()
        self.link_request()

    def claim_lock(self) -> None:
        """Be the only one who starts this container, for as long as the lock is open."""
        make_private(self._run)
        self._lock = take_lock(self._run)

    def link_request(self) -> None:
        """Leave word where the request lies, for a launcher that comes later."""
        link = f"{self._run}/{REQUEST_LINK}"
        with suppress(FileNotFoundError):
            os.unlink(link)
        os.symlink(self._task.request_path, link)

    def _attach_driver(self) -> Driver:
        """Return what knows the container's runtime; its config.json is read for it."""
        if self._driver is None:
            self._driver = driver_of(self._request, read_config(self._request["bundle"]))
        return self._driver

    def _launch(self) -> None:
        """Create and start the container with its stdio."""
        theirs = self._open_stdio()
        try:
            born = bring_up(self._task, theirs)
        finally:
            if not self._task.stdio:
                wire.close_all(theirs)
        self._init, self._started_at = born.pid, born.started_at
        self._pidfd = os.pidfd_open(self._init)
        if born.master is not None:
            self._take_terminal(born.master)

    def _open_stdio(self) -> tuple[int, int, int]:
        """Return the container's three descriptors, and keep our ends of them."""
        request = self._request
        if request["output"] == "inherit" and not request["tty"]:
            given = self._task.stdio
            if len(given) != 3:
                raise ShimFailure("cannot inherit stdio: three descriptors are needed")
            return given[0], given[1], given[2]
        if request["output"] == "log":
            self._open_log()
        if request["tty"]:
            return stdio.null(), stdio.null(), stdio.null()
        ours_out, theirs_out = stdio.output_pipe()
        ours_err, theirs_err = stdio.output_pipe()
        self._outputs = [
            Output(ours_out, "stdout", self._log, self._attachments),
            Output(ours_err, "stderr", self._log, self._attachments),
        ]
        if not request["stdin"]:
            return stdio.null(), theirs_out, theirs_err
        theirs_in, ours_in = stdio.input_pipe()
        self._input = Input(ours_in, self._loop, close_at_end=True)
        return theirs_in, theirs_out, theirs_err

    def _open_log(self) -> None:
        self._log = open_log(self._request, self._loop, must_answer=self.receiver_must_answer)
        self._attachments = self.attach(listen_at(self._run, ATTACH_SOCKET))

    def attach(self, listener: socket.socket) -> Attachments:
        """Return what serves the clients of the attach socket."""
        return Attachments(
            self._run,
            listener,
            write_input=lambda data: self._input.write(data) if self._input else None,
            close_input=lambda: self._input.end() if self._input else None,
            resize=lambda rows, columns: set_window(self._master or -1, rows, columns),
        )

    def _take_terminal(self, master: int) -> None:
        self._master = master
        if self._request["output"] == "log":
            hold_peer(master)
            os.set_blocking(master, False)
            self._outputs = [Output(master, "stdout", self._log, self._attachments)]
            self._input = Input(os.dup(master), self._loop, close_at_end=False)

    def _answer(self) -> None:
        """Report the start; from now on only an inheriting client keeps its connection."""
        inherit = self._request["output"] == "inherit"
        master = (self._master,) if inherit and self._master is not None else ()
        with suppress(OSError):
            wire.send(self._task.connection, {"ok": True, "pid": self._init}, master)
        wire.close_all((*self._task.stdio, *master))
        self._task.channel.close()
        if not inherit:
            self._task.connection.close()

    def _serve(self) -> None:
        """Keep output, input and clients going until the init has ended."""
        loop = self._loop
        loop.watch(self._pidfd, lambda _: loop.stop())
        reaper = self._reaper if self._reaper >= 0 else reap_on_signal()
        loop.watch(reaper, lambda _: self._reap(reaper))
        for output in self._outputs:
            self._watch_output(output)
        if self._attachments:
            loop.watch(self._attachments.listener.fileno(), lambda _: self._accept())
        if self._request["output"] == "inherit":
            loop.watch(self._task.connection.fileno(), lambda _: self._client_left())
        loop.run(self._log.tick if self._log else None)

    def _watch_output(self, output: Output) -> None:
        def ready(_events: int) -> None:
            try:
                alive, dropped = output.pump()
            except BlockingIOError:
                return
            for fd in dropped:
                self._drop(fd)
            for fd in self._attachments.blocked() if self._attachments else ():
                self._watch_client(fd)
            if not alive:
                self._read_out.add(output.fd)
                self._loop.forget(output.fd)
            elif self._log and self._log.holds_up(self._read_on):
                for held in self._outputs:
                    self._loop.forget(held.fd)

        self._loop.watch(output.fd, ready)

    def _read_on(self) -> None:
        """Read output again, after the receiver of it was waited for."""
        for output in self._outputs:
            if output.fd not in self._read_out:
                self._watch_output(output)

    def _accept(self) -> None:
        client = self._attachments.accept() if self._attachments else None
        if client is not None:
            self._watch_client(client)

    def _watch_client(self, fd: int) -> None:
        attachments = self._attachments
        if attachments is None or not attachments.has(fd):
            return

        def ready(events: int) -> None:
            alive = attachments.flush(fd) if events & select.POLLOUT else True
            if alive and events & ~select.POLLOUT:
                alive = attachments.read(fd)
            if not alive:
                self._drop(fd)
            elif self._input and self._input.is_full():
                self._loop.forget(fd)
                self._input.when_room(lambda: self._watch_client(fd))
            elif not attachments.is_blocked(fd):
                self._loop.watch(fd, ready)

        writable = select.POLLOUT if attachments.is_blocked(fd) else 0
        self._loop.watch(fd, ready, select.POLLIN | writable)

    def _drop(self, fd: int) -> None:
        self._loop.forget(fd)
        if self._attachments:
            self._attachments.drop(fd)

    def _client_left(self) -> None:
        """End the container with the client whose descriptors it has: that says nothing more."""
        self._loop.forget(self._task.connection.fileno())
        with suppress(OSError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def _reap(self, reaper: int) -> None:
        """Reap orphans that came to us as their subreaper; the init's turn comes in _finish."""
        with suppress(BlockingIOError):
            os.read(reaper, 4096)
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if found is None or found.si_pid == self._init:
                    return
                os.waitpid(found.si_pid, 0)
            except ChildProcessError:
                return
            if self._log:
                self._log.ended(found.si_pid)

    def _finish(self) -> None:
        """Take what is left of the output, remove every trace, and write down how it ended."""
        finished_at = now_text()
        ended, error = self._wait()
        oom_killed = False
        with suppress(ShimFailure):
            driver = self._attach_driver()
            oom_killed = driver.oom_killed()
            driver.delete()
        for output in self._outputs:
            output.drain()
        if self._attachments:
            self._attachments.close()
        if self._log:
            self._log.close()
        record: ExitRecord = {
            "code": ended["code"],
            "signal": ended["signal"],
            "oom_killed": oom_killed,
            "started_at": self._started_at,
            "finished_at": finished_at,
        }
        if error:
            record["error"] = error
        write_json(f"{self._request['directory']}/{EXIT_FILE}", record)
        if self._request["output"] == "inherit":
            with suppress(OSError):
                wire.send(self._task.connection, {"code": ended["code"], "signal": ended["signal"]})

    def _wait(self) -> tuple[process.Exit, str]:
        """Return how the init ended, and what is to be said of that."""
        return process.wait_exit(self._init), ""

    def give_up(self, failure: ShimFailure) -> None:
        """Undo what was begun and report why; nothing says then that a container ever ran."""
        if self._log:
            self._log.close()
        if self._attachments:
            self._attachments.close()
        if self._lock >= 0:
            for name in (INIT_FILE, SHIM_FILE, REQUEST_LINK):
                with suppress(OSError):
                    os.unlink(f"{self._run}/{name}")
            os.close(self._lock)  # before the answer: whoever hears it may try again at once
            self._lock = -1
        with suppress(OSError):
            wire.send(self._task.connection, failed(failure))


def take_lock(run_directory: str) -> int:
    """Be the one shim of this container, for as long as the descriptor is open.

    :raises ShimFailure: when another one lives.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(f"{run_directory}/{LOCK_FILE}", flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as err:
        os.close(fd)
        raise ShimFailure("cannot start the container: it runs already") from err
    return fd


def reap_on_signal() -> int:
    """Return a descriptor that is readable when a child has ended."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    return read_end


def ignore_signals() -> None:
    """Outlive a closed terminal and a killed session: only SIGKILL ends a shim early."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
