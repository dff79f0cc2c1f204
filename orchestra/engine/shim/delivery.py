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
from orchestra.engine.shim.ahead import Kind, Spare, hear_pid, kind_of, order
from orchestra.engine.shim.beginning import BORN, COLD, NOT_BORN, Beginning, as_failure, take
from orchestra.engine.shim.birth import ShimTask
from orchestra.engine.shim.failure import ShimFailure
from orchestra.engine.shim.identity import write_identity
from orchestra.engine.shim.protocol import EXIT_FILE, INIT_FILE, ShimRequest
from orchestra.engine.shim.request import is_plain, read_request
from orchestra.oci.runtime import RuntimeConfig

_ANSWER_BYTES = 64


class Delivery:
    """One container's; ``home`` is where the maker goes back to whatever happens.

    ``spare``: what has been made ahead of it.
    """

    def __init__(
        self,
        shim: int,
        task: ShimTask,
        config: RuntimeConfig,
        line: socket.socket,
        home: Home,
        spare: Spare | None = None,
    ) -> None:
        self._shim = shim
        self._task = task
        self._config = config
        self._line = line
        self._home = home
        self._spare = spare
        self._beginning = Beginning(task)
        self._made: Attended | None = None

    @property
    def may_be_ahead(self) -> bool:
        """Tell whether a cgroup like its own can be made under another name."""
        return self._made is not None and self._made.has_v1

    def deliver(self) -> bool:
        """Make the container, and tell whoever waits; False when it could not be made."""
        try:
            try:
                self._beginning.claim_lock()
                pid, pidfd, started_at = self._make()
            except RuntimeFailure as err:
                raise ShimFailure(err.message, errno=err.errno, exit_code=err.exit_code) from err
            fds = array("i", (pidfd, *self._beginning.held()))
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
        if self._spare is not None:
            self._spare.close()
        self._line.close()
        self._task.connection.close()
        self._task.channel.close()

    def _make(self) -> tuple[int, int, str]:
        request, known = self._task.request, native.programs_known()
        made = Attended(request["id"], request["bundle"], native.state_root(request))
        self._made, spare = made, self._spare
        if spare is not None:
            made.take(spare.first, spare.trees, spare.cgroup)
        elif not made.born_inside:
            self._order(made)
        made.prepare()
        ahead = spare.network if spare is not None else None
        making, _ = birth.plan(self._task, self._shim, self._beginning.begin, ahead)
        try:
            making.network()
            made.make_cgroup()
            if spare is None and made.born_inside:
                self._order(made)
            with network.own_namespace() as fd:
                made.let_in(fd)
            making.furnish()
            if spare is None:
                made.born(hear_pid(self._line))
            root = made.furnish(native.places_of(making))
        finally:
            self._home.come_back()
        if native.programs_known() > known:
            with suppress(OSError):  # a launcher that is gone learns nothing
                wire.send(self._task.channel, {"op": "warm", "bundle": request["bundle"]})
        return self._let_go(made, root)

    def _order(self, made: Attended) -> None:
        """Have the shim fork the first process."""
        order(self._line, made.orders())

    def _let_go(self, made: Attended, root: int) -> tuple[int, int, str]:
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
        return made.pid, made.pidfd, started_at

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


class Maker:
    """What a maker remembers from one container to the next."""

    def __init__(self) -> None:
        self._home = Home()
        self._spare: Spare | None = None
        self._kind: Kind | None = None
        self._place = ""
        self._unused: list[Spare] = []

    @property
    def wants_spare(self) -> bool:
        """Tell whether something could be made ahead."""
        return self._kind is not None and self._spare is None

    def make_ahead(self, shim: int, fd: int) -> bool:
        """Make something ahead, for which a shim waits at the other end of a line.

        Tells whether that is there now: else its shim ends.
        """
        line, kind, self._kind = _socket(fd), self._kind, None
        if kind is None:
            line.close()
            return False
        spare = Spare(shim, line, kind)
        try:
            spare.make(self._place, self._home)
        except (RuntimeFailure, ShimFailure, OSError):
            self._give_up(spare)
            line.close()  # whoever starts a container is told what is wrong
            return False
        self._spare = spare
        return True

    def clear(self) -> None:
        """Remove the cgroups of what nobody has used."""
        for spare in self._unused:
            spare.cgroup.delete()
        self._unused.clear()

    def close(self) -> None:
        """Let go of what has been made ahead."""
        if self._spare is not None:
            self._give_up(self._spare)
            self._spare.line.close()
        self.clear()

    def _give_up(self, spare: Spare) -> None:
        spare.close()
        self._unused.append(spare)

    def deliver(self, shim: int, place: bytes, fds: Sequence[int]) -> bool:
        """Make the plain container of a request, or leave it to its shim; False on failure.

        ``fds``: the client's connection, the shim's channel, what we share with the shim, and our
        line to it; to one that waits for a call we have that already.
        """
        client, channel, token, *line = fds
        spare = None if line else self._take_spare(shim)
        if not line and spare is None:  # never offered: its shim does without us
            wire.close_all(fds)
            return True
        sockets = [_socket(client), _socket(channel), spare.line if spare else _socket(line[0])]
        begun = take(token)
        os.close(token)
        path = place.decode("utf-8", "surrogateescape")
        known = _read(path) if begun else None
        if known is not None:
            return self._make(shim, path, known, sockets, spare)
        if begun:
            with suppress(OSError):
                sockets[2].send(COLD)
        if spare is not None:
            self._give_up(spare)
        for item in sockets:
            item.close()
        return True

    def _take_spare(self, shim: int) -> Spare | None:
        spare = self._spare
        if spare is None or spare.shim != shim:
            return None
        self._spare = None
        return spare

    def _make(
        self,
        shim: int,
        path: str,
        known: tuple[ShimRequest, RuntimeConfig],
        sockets: Sequence[socket.socket],
        spare: Spare | None,
    ) -> bool:
        request, config = known
        client, channel, line = sockets
        client.settimeout(None)
        kind = kind_of(request, config)
        if spare is not None and (spare.kind != kind or spare.first.has_ended()):
            self._give_up(spare)
            spare = None  # its shim forks another first process
        task = ShimTask(request, path, client, channel)
        delivery = Delivery(shim, task, config, line, self._home, spare)
        try:
            done = delivery.deliver()
        finally:
            delivery.close()
        if spare is not None and not done:
            self._unused.append(spare)
        self._kind = kind if delivery.may_be_ahead else None
        self._place = request["run_directory"].rpartition("/")[0]
        return done


def _socket(fd: int) -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, fileno=fd)


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
