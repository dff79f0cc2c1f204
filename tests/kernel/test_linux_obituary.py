"""The end of a process, as the kernel's process events tell it."""

from __future__ import annotations

import os
import select
import signal

import pytest

from orchestra.engine.linux.obituary import Obituary

pytestmark = pytest.mark.kernel


@pytest.fixture
def child() -> tuple[int, int]:
    """Return a process that ends with the code it is given, and where to write that."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        data = os.read(reader, 1)
        if not data:
            os.kill(os.getpid(), signal.SIGKILL)
        os._exit(data[0])
    os.close(reader)
    return pid, writer


def ended(pid: int) -> int:
    """Wait for the end as a pidfd tells it, let others end meanwhile, and reap."""
    pidfd = os.pidfd_open(pid)
    ready, _, _ = select.select([pidfd], [], [], 30)
    os.close(pidfd)
    if not ready:
        os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


@pytest.mark.parametrize("code", [0, 7, None])
def test_an_end_is_heard_of_before_anybody_reaps(child: tuple[int, int], code: int | None) -> None:
    pid, writer = child
    heard = Obituary(pid)
    other = os.fork()
    if other == 0:
        os._exit(99)
    os.waitpid(other, 0)
    assert heard.status() is None
    if code is not None:
        os.write(writer, bytes([code]))
    os.close(writer)
    status = ended(pid)
    assert os.waitstatus_to_exitcode(status) == (-9 if code is None else code)
    assert heard.status() == status
    heard.close()
