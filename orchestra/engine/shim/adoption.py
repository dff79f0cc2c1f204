"""A new shim for a container whose own was killed: log again, wait, and write the end down.

The container never noticed: its output waited in its pipes. A terminal died with the old shim.
"""

# No pathlib here: the process stays small.
# ruff: noqa: PTH116

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import struct
import time
from contextlib import suppress

from orchestra.engine.linux import host, process
from orchestra.engine.shim import identity, network, stdio, wire
from orchestra.engine.shim.birth import ShimTask, hand_over
from orchestra.engine.shim.failure import ShimFailure, failed
from orchestra.engine.shim.logfile import stamp
from orchestra.engine.shim.monitor import Monitor
from orchestra.engine.shim.ports import bind_ports
from orchestra.engine.shim.protocol import INIT_FILE, SHIM_FILE, STATUS_FILE, ShimRequest
from orchestra.engine.shim.pump import Output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orchestra.engine.linux.obituary import Obituary

_PIDFD_GET_INFO = 0xC040FF0B
_PIDFD_INFO_EXIT = 1 << 3
_TELLING_PIDFDS = (6, 15)
_UNKNOWN_CODE = 255
_TRIES, _PAUSE_SECONDS = 100, 0.1


class Adopter(Monitor):
    """The second half of a monitor's life, for an init that is another's child."""

    receiver_must_answer = False

    def __init__(self, task: ShimTask, *, sockets: bool) -> None:
        """``sockets``: the launcher holds none of this container's, so open them again."""
        super().__init__(task)
        self._sockets = sockets
        self._told = False
        self._obituary: Obituary | None = None

    def claim_lock(self) -> None:
        """Become this container's shim, and say so at once: nobody else does."""
        super().claim_lock()
        identity.write_identity(f"{self._run}/{SHIM_FILE}", os.getpid())

    def _launch(self) -> None:
        """Find the init and its pipes; one that is gone is cleaned up after."""
        who = identity.read_identity(f"{self._run}/{INIT_FILE}")
        if who is None:  # a reboot, or a user's hand: clear away what may be left of it
            self._attach_driver()
            return
        self._init = who["pid"]
        self._started_at = self._read_started_at()
        self._told = process.parent_of(who) == os.getppid()
        self._attach_driver()
        if not self._told and host.kernel_version() < _TELLING_PIDFDS:
            self._listen()
        try:
            self._pidfd = process.pidfd_open(who)
        except ProcessLookupError:
            return
        if self._request["output"] == "log":
            self._open_log()
            for number, stream in ((1, "stdout"), (2, "stderr")):
                fd = stdio.reopen_output(self._init, number)
                if fd is not None:
                    self._outputs.append(Output(fd, stream, self._log, self._attachments))
        if self._sockets:
            self._reopen()

    def _listen(self) -> None:
        """Hear of the end of what somebody else reaps, where the kernel can tell us."""
        from orchestra.engine.linux.obituary import Obituary  # noqa: PLC0415 - of old kernels alone

        with suppress(OSError):
            self._obituary = Obituary(self._init)

    def _reopen(self) -> None:
        """Let a child open the sockets: this process stays in the host's network."""
        if os.fork():
            return
        try:
            reopen_sockets(self._request, self._task.channel)
        finally:
            os._exit(0)

    def _serve(self) -> None:
        if self._pidfd >= 0:
            super()._serve()

    def _wait(self) -> tuple[process.Exit, str]:
        """Ask the kernel how another's child ended (PIDFD_GET_INFO, Linux 6.15), or its parent."""
        status = self._heard()
        if status is None and self._pidfd >= 0:
            status = _exit_status(self._init, self._pidfd)
        if status is None and self._told:
            status = _status_left(self._init, f"{self._run}/{STATUS_FILE}")
        if status is None:
            unknown: process.Exit = {"code": _UNKNOWN_CODE, "signal": None}
            return unknown, "its shim was killed, and nobody saw how it ended"
        return process.exit_of(status), ""

    def _heard(self) -> int | None:
        if self._obituary is None:
            return None
        status = self._obituary.status()
        self._obituary.close()
        return status

    def give_up(self, failure: ShimFailure) -> None:
        """Leave everything as it is: the container may well live on."""
        with suppress(OSError):
            wire.send(self._task.connection, failed(failure))

    def _read_started_at(self) -> str:
        try:
            stat = os.stat(f"{self._run}/{INIT_FILE}")
        except OSError:
            return ""
        return stamp(stat.st_mtime_ns)


def _exit_status(pid: int, pidfd: int) -> int | None:
    """Return the wait status of another's child; None where the kernel does not say.

    A zombie shows it in /proc/PID/stat, one that was reaped tells its pidfd (Linux 6.15).
    """
    for _ in range(_TRIES):
        info = bytearray(64)
        struct.pack_into("=Q", info, 0, _PIDFD_INFO_EXIT)
        try:
            fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info)
        except OSError:
            return _status_of_zombie(pid)
        if struct.unpack_from("=Q", info, 0)[0] & _PIDFD_INFO_EXIT:
            return int(struct.unpack_from("=i", info, 60)[0])
        status = _status_of_zombie(pid)
        if status is not None:
            return status
        time.sleep(_PAUSE_SECONDS)
    return None


def _status_left(pid: int, path: str) -> int | None:
    """Return the wait status that the launcher leaves of a child of its (launcher/records.py)."""
    for _ in range(_TRIES):
        with suppress(OSError, ValueError):
            document = json.loads(process.read_text(path))
            if document["pid"] == pid:
                return int(document["status"])
        time.sleep(_PAUSE_SECONDS)
    return None


def _status_of_zombie(pid: int) -> int | None:
    """Return field 52 of /proc/PID/stat, exit_code (proc_pid_stat(5))."""
    try:
        fields = process.read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[49]) if fields[0] == "Z" else None


def reopen_sockets(request: ShimRequest, channel: socket.socket) -> None:
    """Open a running container's sockets once more and hand them to the launcher.

    Those of a launcher before may live on with the supervisor for a moment: tried again, bounded.
    """
    who = identity.read_identity(f"{request['run_directory']}/{INIT_FILE}")
    if who is None:
        return
    wanted = request["network"]
    listeners: list[int] | None = None
    inside = False
    for _ in range(_TRIES):
        try:
            if listeners is None:
                listeners = bind_ports(wanted["listen"])
            if wanted["dns"] and not inside:
                network.enter_namespace_of(who)
                inside = True
            dns = network.open_dns_sockets(redirect=False) if wanted["dns"] else ()
        except (OSError, ShimFailure) as err:
            if err.errno != errno.EADDRINUSE:
                return
            time.sleep(_PAUSE_SECONDS)
            continue
        hand_over(channel, wanted["listen"], dns, listeners)
        return
