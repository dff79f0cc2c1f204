"""The container's terminal: a pty of its own devpts, its master handed out, its slave put on."""

from __future__ import annotations

import fcntl
import os
import socket
import stat
import struct
import termios

from orchestra.engine.linux.flags import FsMagic
from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.engine.runtime.mounts import attach, clone_tree
from orchestra.engine.runtime.options import Options
from orchestra.engine.runtime.resolve import Root, is_on
from orchestra.oci.runtime import ConsoleSize
from orchestra.values import dataclass

_TIOCGPTPEER = 0x5441
_TIOCSPTLCK = 0x40045431
_PTMX = os.makedev(5, 2)
_PTY_SLAVE_MAJORS = range(136, 144)


@dataclass(frozen=True, slots=True)
class Console:
    """An open pty."""

    master: int
    slave: int


def open_console(root: Root, size: ConsoleSize | None) -> Console:
    """Open a new pty from the container's /dev/pts, whatever else lies in its /dev.

    :raises RuntimeFailure: when /dev/pts/ptmx is not the multiplexer of a devpts
    (CVE-2025-52565). :raises OSError: when there is none.
    """
    master = root.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK, links=False)
    try:
        return Console(master, _open_slave(master, size))
    except BaseException:
        os.close(master)
        raise


def _open_slave(master: int, size: ConsoleSize | None) -> int:
    found = os.fstat(master)
    if not is_on(master, FsMagic.DEVPTS) or found.st_rdev != _PTMX:
        raise RuntimeFailure("cannot open a terminal: /dev/pts is not the container's devpts")
    os.set_blocking(master, True)
    fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
    # From the master, not by a path that the container could have changed.
    slave = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    found = os.fstat(slave)
    if not stat.S_ISCHR(found.st_mode) or os.major(found.st_rdev) not in _PTY_SLAVE_MAJORS:
        raise RuntimeFailure("cannot open a terminal: its slave is no pty")
    if size is not None:
        window = struct.pack("HHHH", size["height"], size["width"], 0, 0)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, window)
    return slave


def send_master(console_socket: int, master: int) -> None:
    """Send the master over a connected unix socket, as runc does: SCM_RIGHTS beside a name.

    :raises OSError: when the peer is gone.
    """
    with socket.socket(fileno=os.dup(console_socket)) as peer:
        socket.send_fds(peer, [b"/dev/ptmx"], [master])


def bind_console(root: Root, slave: int) -> None:
    """Put the slave at /dev/console.

    :raises OSError: when it cannot be mounted there.
    """
    tree = clone_tree(slave)
    try:
        target = root.file("/dev/console")
        try:
            attach(tree, target, Options())
        finally:
            os.close(target)
    finally:
        os.close(tree)


def take_terminal(console: Console, uid: int) -> None:
    """Make the slave this session's terminal and its stdio, owned by the user; drop the master."""
    os.fchown(console.slave, uid, -1)
    fcntl.ioctl(console.slave, termios.TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(console.slave, number, inheritable=True)
    os.close(console.master)
    if console.slave > 2:
        os.close(console.slave)
