"""A container's first process, as whoever makes the container has it: see newborn.py for its side.

It is forked by another (its shim) by our orders, and does what it is told in two messages.
"""

from __future__ import annotations

import marshal
import os
import select
import signal
from collections.abc import Sequence
from contextlib import suppress

from orchestra.engine.linux import syscalls
from orchestra.engine.linux.flags import CloneFlag
from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.engine.runtime.newborn import Data, Program
from orchestra.engine.runtime.sync import channel_pair, decode, receive_with, send_with
from orchestra.values import dataclass

LATER = CloneFlag.NEWNS | CloneFlag.NEWCGROUP
"""Made of what is there at the start: the host's mounts, the process's cgroup."""
AT_ONCE = CloneFlag.NEWIPC | CloneFlag.NEWUTS
BORN_WITH = CloneFlag.NEWPID
_END_MILLISECONDS = 10_000
_DIED = "the container's init died before it was ready"


@dataclass(frozen=True, slots=True)
class Birth:
    """What has to be known when it is forked."""

    new: CloneFlag
    """All new namespaces of the container, but for its network."""
    procfs: Data | None
    """The parameters of the procfs that is wanted, if one is."""
    bounding: Sequence[str]
    """The capabilities that it and what it becomes can have at most."""


class FirstProcess:
    """One container's; use it once."""

    def __init__(self, birth: Birth) -> None:
        self.birth = birth
        self.channel, self._theirs = channel_pair()
        self.pid, self.pidfd, self.procfs = 0, -1, -1

    def orders(self, born_in: int, cgroup: str = "") -> tuple[bytes, tuple[int, ...]]:
        """Return what ``newborn.fork`` takes; the caller closes the descriptors once they are sent.

        ``born_in``: a cgroup of v2 that it is born into, or -1; ``cgroup``: one of v1 to join.
        """
        birth = self.birth
        told = (int(birth.new & AT_ONCE), birth.procfs, cgroup, list(birth.bounding))
        orders = marshal.dumps(told)
        fds = (self._theirs.fd, born_in) if born_in >= 0 else (self._theirs.fd,)
        self._theirs.fd = -1
        return b"%d " % int(self.birth.new & BORN_WITH) + orders, fds

    def born(self, pid: int) -> None:
        """Take note of it: it is another's child and not reaped yet. Wait for its procfs.

        :raises RuntimeFailure: what it says.
        """
        self.pid, self.pidfd = pid, os.pidfd_open(pid)
        fds = self._hear()
        self.procfs = fds[0] if fds else -1

    def let_in(self, program: Program, network: int) -> None:
        """Tell it what it is to become, and let it join its network, cgroup and mounts."""
        send_with(self.channel.fd, marshal.dumps(program), (network,))

    def wait_inside(self) -> None:
        """Wait until it is in its namespaces.

        :raises RuntimeFailure: what it says.
        """
        self._hear()

    def enter(self, flags: CloneFlag) -> None:
        """Move this process into namespaces of it."""
        syscalls.setns(self.pidfd, flags)

    def let_go(self, home: str, root: int) -> None:
        """Let it become its program.

        :raises RuntimeFailure: when it died instead.
        """
        send_with(self.channel.fd, marshal.dumps(home), (root,))
        if self.channel.receive() is None:
            raise RuntimeFailure(_DIED)

    def forget_procfs(self) -> None:
        """Close its procfs, which has been mounted."""
        if self.procfs >= 0:
            os.close(self.procfs)
            self.procfs = -1

    def close(self) -> None:
        """Close what is open, however it went; it ends if it is no program yet."""
        self.channel.close()
        self._theirs.close()
        self.forget_procfs()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1

    def has_ended(self) -> bool:
        """Tell whether it lives no more."""
        return self._wait(0)

    def end(self) -> None:
        """Kill it, where its shim has not, and wait for its end."""
        if self.pidfd < 0:
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
        self._wait(_END_MILLISECONDS)

    def _wait(self, milliseconds: int) -> bool:
        ended = select.poll()
        ended.register(self.pidfd, select.POLLIN)
        return bool(ended.poll(milliseconds))

    def _hear(self) -> list[int]:
        told, fds = receive_with(self.channel.fd)
        if not told:
            raise RuntimeFailure(_DIED)
        decode(told)
        return fds
