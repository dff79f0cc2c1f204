"""What a maker does for one plain container: all that its shim and its first process need not do.

The shim is at the other end of a line. It forks the container's first process by the maker's
orders, says which one that is, and is given what a shim keeps.
"""

# No pathlib here: the process stays small.

from __future__ import annotations

import os
import socket
from array import array
from collections.abc import Sequence
from contextlib import suppress

from orchestra.engine.runtime.attended import Attended, Home, may_be_attended
from orchestra.engine.runtime.config import load_config
from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.engine.shim import birth, native, network, wire
from orchestra.engine.shim.beginning import BORN, COLD, FORK, NOT_BORN, Beginning, as_failure, take
from orchestra.engine.shim.birth import ShimTask
from orchestra.engine.shim.failure import ShimFailure, because
from orchestra.engine.shim.identity import write_identity
from orchestra.engine.shim.protocol import EXIT_FILE, INIT_FILE, ShimRequest
from orchestra.engine.shim.request import is_plain, read_request
from orchestra.oci.runtime import RuntimeConfig

_ANSWER_BYTES = 64


class Delivery:
    """One container's; ``home`` is where the maker goes back to whatever happens."""

    def __init__(
        self, shim: int, task: ShimTask, config: RuntimeConfig, line: socket.socket, home: Home
    ) -> None:
        self._shim = shim
        self._task = task
        self._config = config
        self._line = line
        self._home = home
        self._beginning = Beginning(task)
        self._made: Attended | None = None

    def deliver(self) -> bool:
        """Make the container, and tell whoever waits; False when it could not be made."""
        try:
            try:
                self._beginning.claim_lock()
                pid, started_at = self._make()
            except RuntimeFailure as err:
                raise ShimFailure(err.message, errno=err.errno, exit_code=err.exit_code) from err
            fds = array("i", self._beginning.held())
            told = BORN + f"{pid} {started_at}".encode()
            self._line.sendmsg([told], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds.tobytes())])
        except BrokenPipeError:
            self._fail(ShimFailure("cannot start the container: its shim was killed"))
            return False
        except (ShimFailure, OSError) as err:
            self._fail(as_failure(err))
            return False
        return True

    def close(self) -> None:
        """Close all that was opened for it, what would keep another shim from it first."""
        self._beginning.let_go()
        if self._made is not None:
            self._made.close()
        self._line.close()
        self._task.connection.close()
        self._task.channel.close()

    def _make(self) -> tuple[int, str]:
        request, known = self._task.request, native.programs_known()
        made = Attended(request["id"], request["bundle"], native.state_root(request))
        self._made = made
        if not made.born_inside:
            self._order(made)
        made.prepare()
        making, _ = birth.plan(self._task, self._shim, self._beginning.begin)
        try:
            making.network()
            made.make_cgroup()
            if made.born_inside:
                self._order(made)
            with network.own_namespace() as fd:
                made.let_in(fd)
            making.furnish()
            made.born(self._hear_pid())
            root = made.furnish(native.places_of(making))
        finally:
            self._home.come_back()
        if native.programs_known() > known:
            with suppress(OSError):  # a launcher that is gone learns nothing
                wire.send(self._task.channel, {"op": "warm", "bundle": request["bundle"]})
        return self._let_go(made, root)

    def _order(self, made: Attended) -> None:
        """Have the shim fork the first process."""
        orders, fds = made.orders()
        try:
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", fds).tobytes())]
            self._line.sendmsg([FORK + orders], rights)
        finally:
            wire.close_all(fds)

    def _let_go(self, made: Attended, root: int) -> tuple[int, str]:
        """Let the first process become its program."""
        request = self._task.request
        try:
            made.write()
            write_identity(f"{request['run_directory']}/{INIT_FILE}", made.pid)
            started_at = birth.now_text()
            made.let_go(root)
        finally:
            os.close(root)
        with suppress(FileNotFoundError):
            os.unlink(f"{request['directory']}/{EXIT_FILE}")  # noqa: PTH108 - pathlib is 8 ms of import
        return made.pid, started_at

    def _hear_pid(self) -> int:
        """Return the pid of the first process, which the shim says.

        :raises ShimFailure: when it could not fork that, or is gone.
        """
        told = self._line.recv(_ANSWER_BYTES)
        if not told:
            raise ShimFailure("cannot start the container: its shim was killed")
        number = int(told)
        if number < 0:
            raise because(
                "cannot fork the container's init", OSError(-number, os.strerror(-number))
            )
        return number

    def _fail(self, failure: ShimFailure) -> None:
        """Have the shim end the first process, undo what was begun, and say why."""
        with suppress(OSError):
            self._line.send(NOT_BORN)
            while self._line.recv(_ANSWER_BYTES):  # it is done when it hangs up
                pass
        if self._made is not None:
            self._made.end()
            self._made.undo()
            native.NativeRuntime(self._task.request, self._config).delete()
        self._beginning.give_up(failure)


def deliver(shim: int, place: bytes, fds: Sequence[int], home: Home) -> bool:
    """Make the plain container of a request, or tell its shim to have it made; False on failure.

    ``fds``: the client's connection, the shim's channel, our line to the shim, what is shared.
    """
    *others, token = fds
    begun = take(token)
    os.close(token)
    if not begun:
        wire.close_all(others)
        return True
    path = place.decode("utf-8", "surrogateescape")
    client, channel, line = (
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fileno=fd) for fd in others
    )
    client.settimeout(None)
    known = _read(path)
    if known is None:
        with suppress(OSError):
            line.send(COLD)
        wire.close_all([item.detach() for item in (client, channel, line)])
        return True
    request, config = known
    task = ShimTask(request, path, client, channel)
    delivery = Delivery(shim, task, config, line, home)
    try:
        return delivery.deliver()
    finally:
        delivery.close()


def _read(path: str) -> tuple[ShimRequest, RuntimeConfig] | None:
    """Return what a start is made of; None where it is not for us, or wrong: others say why."""
    try:
        request = read_request(path)
        config = load_config(request["bundle"])
        suits = is_plain(request) and not request["runtime"] and "userns" not in request
        suits = suits and len(request["network"]["listen"]) <= birth.HELD_PORTS_MAX
        return (request, config) if suits and may_be_attended(config) else None
    except (ShimFailure, RuntimeFailure, OSError):
        return None
