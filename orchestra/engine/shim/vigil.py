"""A plain container's shim, in as few pages of its own as can be: it sleeps until there is work.

Forked from the launcher it shares every page with it until one of the two writes there, and Python
writes wherever it looks. So neither the launcher nor this process reads the request: a maker does,
or the child that brings the container up. They open what a shim keeps, and hand that over. With the
first output, the first attached client or the end the rest of a monitor is made of it.
"""

# No pathlib here: the process stays small.

from __future__ import annotations

import _socket
import os
import select
import signal
import socket
import sys
from array import array
from contextlib import suppress
from typing import NoReturn

from orchestra.engine.linux import forks, process, syscalls
from orchestra.engine.linux.flags import CloneFlag, Prctl
from orchestra.engine.runtime import newborn
from orchestra.engine.shim import native, stdio, wire
from orchestra.engine.shim.beginning import BORN, COLD, FORK, NOT_BORN, Beginning, as_failure, take
from orchestra.engine.shim.birth import ShimTask, bring_up_here
from orchestra.engine.shim.external import Stdio
from orchestra.engine.shim.failure import ShimFailure, failed
from orchestra.engine.shim.log import Log
from orchestra.engine.shim.logfile import LogFile
from orchestra.engine.shim.monitor import Monitor
from orchestra.engine.shim.protocol import LOG_FILE
from orchestra.engine.shim.pump import Output
from orchestra.engine.shim.request import read_request
from orchestra.values import dataclass

# To look something up in another module writes to three pages; what is bound here is there. For the
# same reason no context managers, no sockets of the library's own class, and forks by clone3 alone.
_close, _pipe2, _write, _getpid, _waitpid = os.close, os.pipe2, os.write, os.getpid, os.waitpid
_Socket, _socketpair, _poll = socket.SocketType, _socket.socketpair, select.poll
_set_wakeup_fd = signal.set_wakeup_fd
_fork_first, _is_apart = newborn.fork, newborn.is_apart
_fork_unheard, _WALL = forks.forker(CloneFlag(0), exit_signal=0), 0x40000000
_set_subreaper = process.set_child_subreaper
_CLOEXEC, _NONBLOCK, _READABLE = os.O_CLOEXEC, os.O_NONBLOCK, select.POLLIN
_UNIX, _SEQPACKET = int(socket.AF_UNIX), int(socket.SOCK_SEQPACKET)
_RECEIVED_CLOEXEC = int(socket.MSG_CMSG_CLOEXEC)

_WORD_BYTES = 8192
"""More than a word of a maker's ever has: what is long in one is the path of a cgroup."""
_ROOM = socket.CMSG_SPACE(4 * 4)
_Rights = list[tuple[int, int, bytes]]
_NO_LOG = [-1]
_UNTOLD: tuple[bytes, _Rights, bool] = (b"", [], True)
_Told = tuple[list[bytes], _Rights]
_Pipe = tuple[int, int]
_KILLED = b"!"
_WHO_WAS_KILLED = "cannot start the container: the process that made it was killed"


@dataclass(frozen=True, slots=True)
class Kept:
    """What a sleeping shim has: descriptors, and who the init is; ``log`` is -1 where none is."""

    init: int
    pidfd: int
    started_at: str
    reaper: int
    outputs: tuple[int, int]
    lock: int
    listener: int
    log: int


def keep_vigil(place: bytes, connection: int, channel: int, line: int, token: int) -> None:
    """Be the shim of the plain container of a request, from its start to its end.

    ``line``: where a maker is at the other end that will make the container (delivery.py), and
    ``token`` is shared with it (beginning.py); -1 where a child of ours has to. The launcher's
    handling of signals is this process's too, but for who is woken by them.
    """
    pipes = _pipe2(_CLOEXEC), _pipe2(_CLOEXEC)
    answer = _UNTOLD if line < 0 else _be_attended(_at(line), token, pipes, 0)
    _live_on(place, connection, channel, pipes, *answer)


def wait_for_call(leash: int, line: int) -> None:
    """Be the shim of a container that is not asked for yet, and perhaps never (ahead.py).

    ``line``: see above. On ``leash`` come a request's place, and with it the connection, channel
    and token of ``keep_vigil``. Without its maker or its launcher it ends.
    """
    pipes, maker = (_pipe2(_CLOEXEC), _pipe2(_CLOEXEC)), _at(line)
    orders, passed = _hear(maker)
    if orders[:1] != FORK:
        return
    pid = _fork(maker, orders, array("i", passed[0][2]).tolist(), pipes)
    place, called = _wait(_at(leash), maker)
    if not place:
        if pid:
            _end(pid)
        return
    connection, channel, token = array("i", called[0][2]).tolist()
    answer = _be_attended(maker, token, pipes, pid)
    _live_on(place, connection, channel, pipes, *answer)


def _at(fd: int) -> socket.SocketType:
    return _Socket(_UNIX, _SEQPACKET, 0, fd)  # few pages, too


def _wait(leash: socket.SocketType, maker: socket.SocketType) -> tuple[bytes, _Rights]:
    """Return what we are called with; b"" when nobody will call any more."""
    poll = _poll()
    poll.register(leash.fileno(), _READABLE)
    poll.register(maker.fileno(), 0)
    poll.poll()
    leash.shutdown(socket.SHUT_RD)  # whoever calls from now on is told that nobody hears
    place, called, _, _ = leash.recvmsg(_WORD_BYTES, _ROOM, _RECEIVED_CLOEXEC)
    leash.close()
    return place, called


def _live_on(
    place: bytes,
    connection: int,
    channel: int,
    pipes: tuple[_Pipe, _Pipe],
    told: bytes,
    passed: _Rights,
    reaps: bool,  # noqa: FBT001 - few pages, too
) -> None:
    """Have the container made where nobody has, and be its shim.

    ``told``, ``reaps``: see _be_attended.
    """
    if not told:
        told, passed = _have_it_made(place, connection, channel, pipes)
        reaps = True
    (out, out_end), (err, err_end) = pipes
    _close(out_end)
    _close(err_end)
    if told[:1] != BORN:
        if told == _KILLED:
            _give_up(place, connection, channel)
        return
    pid, started_at = told[1:].split()
    try:  # noqa: SIM105 - contextlib has pages, too
        _write(connection, b'{"ok":true,"pid":%s}' % pid)
    except OSError:
        pass
    try:  # noqa: SIM105 - see above
        _write(channel, b'{"op":"born"}')
    except OSError:  # a launcher that is gone; the next one looks for us
        pass
    _close(connection)
    _close(channel)
    reaper = -1
    pidfd, lock, listener, log = (array("i", passed[0][2]).tolist() + _NO_LOG)[:4]
    poll = _poll()
    for fd in (pidfd, out, err, listener):
        poll.register(fd, _READABLE)
    if reaps:
        reaper, writer = _pipe2(_CLOEXEC | _NONBLOCK)
        _set_wakeup_fd(writer)
        poll.register(reaper, _READABLE)
    poll.poll()
    kept = Kept(int(pid), pidfd, started_at.decode(), reaper, (out, err), lock, listener, log)
    _Woken(_text(place), kept).go_on()


def _be_attended(
    maker: socket.SocketType, token: int, pipes: tuple[_Pipe, _Pipe], pid: int
) -> tuple[bytes, _Rights, bool]:
    """Fork the container's first process by the orders of its maker; return what that told us.

    The last tells whether orphans of the container come to us. ``pid``: one that was forked ahead,
    of a container that has pids of its own, or 0. b"" where the maker cannot make this container,
    is gone before it has begun, or has not begun for a while.
    """
    passed: _Rights = []
    told, ahead, reaps = b"", pid, False
    try:
        told, passed = _orders(maker, token)
        while told[:1] == FORK:
            if pid:
                _end(pid)
            ahead = pid = 0
            reaps = not _is_apart(told[1:])
            pid = _fork(maker, told, array("i", passed[0][2]).tolist(), pipes)
            told, passed = _hear(maker)
    except OSError:
        told = b""
    finally:
        if pid and told[:1] != BORN:
            _end(pid)
        if told == COLD or (ahead and not told and take(token)):
            told, pid = b"", 0  # nothing has been begun
        maker.close()  # which the maker waits for
        _close(token)
    return told or (_KILLED if pid else b""), passed, reaps


def _end(pid: int) -> None:
    """Kill and collect a first process."""
    os.kill(pid, signal.SIGKILL)
    _waitpid(pid, 0)


def _orders(maker: socket.SocketType, token: int) -> tuple[bytes, _Rights]:
    """Return the maker's first word; COLD where it has not begun for a while."""
    try:
        orders, passed, _, _ = maker.recvmsg(_WORD_BYTES, _ROOM, _RECEIVED_CLOEXEC)
    except BlockingIOError:  # the line has a time limit: see nursery.py
        return (COLD, []) if take(token) else _hear(maker)
    return orders, passed


def _hear(maker: socket.SocketType) -> tuple[bytes, _Rights]:
    """Return the maker's next word, however long it takes."""
    while True:
        try:
            told, passed, _, _ = maker.recvmsg(_WORD_BYTES, _ROOM, _RECEIVED_CLOEXEC)
        except BlockingIOError:
            continue
        return told, passed


def _fork(
    maker: socket.SocketType, orders: bytes, fds: list[int], pipes: tuple[_Pipe, _Pipe]
) -> int:
    """Fork the first process and say which it is, or why there is none: then it is 0."""
    try:
        if not _is_apart(orders[1:]):
            _set_subreaper()
        pid, rest = _fork_first(orders[1:], fds)
    except OSError as error:
        answer, pid = b"-%d" % (error.errno or 0), 0
    else:
        if pid == 0:
            maker.close()
            newborn.run(rest, fds[0], lambda: _stdio(*pipes))
        answer = b"%d" % pid
    _close(fds[0])
    try:  # noqa: SIM105 - see above
        maker.send(answer)
    except OSError:  # a maker that is gone by now sends no answer
        pass
    return pid


def _stdio(out: _Pipe, err: _Pipe) -> Stdio:
    return stdio.null(), stdio.for_output(*out), stdio.for_output(*err)


def _have_it_made(
    place: bytes, connection: int, channel: int, pipes: tuple[_Pipe, _Pipe]
) -> tuple[bytes, _Rights]:
    """Have a child bring the container up; return what it told us."""
    _set_subreaper()  # its child becomes ours
    ours, theirs = _socketpair(_UNIX, _SEQPACKET)
    shim = _getpid()
    child = _fork_unheard()
    if child == 0:
        _work(_Line(place, connection, channel, theirs, *pipes), shim)
    theirs.close()
    told, passed, _, _ = ours.recvmsg(_WORD_BYTES, _ROOM, _RECEIVED_CLOEXEC)
    ours.close()
    _waitpid(child, _WALL)
    return told or _KILLED, passed


def _give_up(place: bytes, connection: int, channel: int) -> None:
    """Undo what a killed child has left, and tell."""
    path, client = _text(place), socket.socket(fileno=connection)
    task = ShimTask(read_request(path), path, client, socket.socket(fileno=channel))
    monitor = Monitor(task)
    with suppress(ShimFailure, OSError):
        monitor.claim()
    monitor.give_up(ShimFailure(_WHO_WAS_KILLED))


def _text(place: bytes) -> str:
    return place.decode("utf-8", "surrogateescape")


class _Woken(Monitor):
    """The rest of a monitor."""

    def __init__(self, path: str, kept: Kept) -> None:
        nobody, channel = socket.socketpair()
        nobody.close()
        super().__init__(ShimTask(read_request(path), path, nobody, channel))
        self._init, self._pidfd = kept.init, kept.pidfd
        self._started_at, self._lock, self._reaper = kept.started_at, kept.lock, kept.reaper
        if kept.log >= 0:
            place = f"{self._request['directory']}/{LOG_FILE}"
            self._log = Log(LogFile(place, self._request["log"], fd=kept.log), None)
        self._attachments = self.attach(socket.socket(fileno=kept.listener))
        for fd, stream in zip(kept.outputs, ("stdout", "stderr"), strict=True):
            self._outputs.append(Output(fd, stream, self._log, self._attachments))

    def go_on(self) -> None:
        """Serve until the init has ended, and write that down."""
        self._serve()
        self._finish()


@dataclass(frozen=True, slots=True)
class _Line:
    """What the child that brings the container up gets: its orders, whom to tell, the pipes."""

    place: bytes
    connection: int
    channel: int
    shim_end: socket.SocketType
    out: tuple[int, int]
    err: tuple[int, int]


def _work(line: _Line, shim: int) -> NoReturn:
    """Bring the container up and hand over what the shim keeps. Dies with the shim."""
    code = 1
    try:
        syscalls.prctl(Prctl.SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == shim:
            line.shim_end.sendmsg(*_answer(line, shim))
            code = 0
    except BaseException:  # noqa: BLE001 - the entry point of a process
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _answer(line: _Line, shim: int) -> _Told:
    """Return what the shim is told; the client is told of a failure here."""
    path, client = _text(line.place), socket.socket(fileno=line.connection)
    client.settimeout(None)
    try:
        request = read_request(path)
        theirs = _stdio(line.out, line.err)
    except (ShimFailure, OSError) as err:
        with suppress(OSError):
            wire.send(client, failed(as_failure(err)))
        return [NOT_BORN], []
    task = ShimTask(request, path, client, socket.socket(fileno=line.channel))
    return _bring_up(task, theirs, shim)


def _bring_up(task: ShimTask, theirs: Stdio, shim: int) -> _Told:
    known = native.programs_known()
    beginning = Beginning(task)
    try:
        beginning.claim_lock()
        born = bring_up_here(task, theirs, shim, beginning.begin)
    except (ShimFailure, OSError) as err:
        beginning.give_up(as_failure(err))
        return [NOT_BORN], []
    if native.programs_known() > known:
        wire.send(task.channel, {"op": "warm", "bundle": task.request["bundle"]})
    fds = array("i", (os.pidfd_open(born.pid), *beginning.held()))
    told = BORN + f"{born.pid} {born.started_at}".encode()
    return [told], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds.tobytes())]
