"""What is opened at the beginning of a plain container's life, for its shim to keep."""

from __future__ import annotations

import os

from orchestra.engine.shim.failure import ShimFailure, because
from orchestra.engine.shim.monitor import Monitor
from orchestra.engine.shim.request import is_plain

BORN, NOT_BORN = b"+", b"-"
"""To a shim: the pid and time of a start, with descriptors; nothing, and the client was told.

The descriptors: the pidfd of the first process, then those of ``Beginning.held``.
"""
FORK, COLD = b"f", b"c"
"""From a maker: orders for the first process; that it cannot make this container."""


def take(token: int) -> bool:
    """Take what maker and shim share, an eventfd(2) of one: only one of them can.

    The maker does before it begins, the shim when it has waited long enough to do without.
    """
    try:
        os.eventfd_read(token)
    except BlockingIOError:
        return False
    return True


class Beginning(Monitor):
    """What a monitor opens at its start."""

    def claim_lock(self) -> None:
        """Be the only one who starts this container."""
        if not is_plain(self._request):
            raise ShimFailure("cannot start the container: it is no plain one")
        super().claim_lock()

    def begin(self) -> None:
        """Say that there is a shim, and open the log and the attach socket."""
        self.link_request()
        self._open_log()

    def held(self) -> tuple[int, ...]:
        """Return what the shim keeps: lock, attach socket, log file."""
        assert self._attachments is not None
        log = self._log.held() if self._log else ()
        return (self._lock, self._attachments.listener.fileno(), *log)

    def let_go(self) -> None:
        """Close it all here; what the shim has been given stays open there."""
        if self._log:
            self._log.close()
        if self._attachments:
            self._attachments.listener.close()
            self._attachments = None  # it and we hold each other
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def as_failure(err: ShimFailure | OSError) -> ShimFailure:
    """Return the failure of a start."""
    return because("cannot start the container", err) if isinstance(err, OSError) else err
