"""``run`` and ``exec -t`` in a terminal of ours, without a console socket."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator

import pytest
from support.bundles import Bundle
from support.verbs import NAME, call, end, start

pytestmark = pytest.mark.kernel


class Terminal:
    """A user at a terminal, and a verb that runs in it."""

    def __init__(self, bundle: Bundle, *verb: str) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 97, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        command = [sys.executable, "-m", "orchestra.engine.runtime", "--root"]
        self.process = subprocess.Popen(
            [*command, str(bundle.state_root), *verb],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
        )

    def until(self, text: str) -> str:
        seen = ""
        while text not in seen:
            seen += os.read(self.master, 4096).decode()
        return seen

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@contextlib.contextmanager
def terminal(bundle: Bundle, *verb: str) -> Iterator[Terminal]:
    it = Terminal(bundle, *verb)
    try:
        yield it
        assert termios.tcgetattr(it.slave) == it.before
    finally:
        it.close()


SCRIPT = "tty; stty size; echo ready; read -r line; echo got $line; exit 7"


def test_run_in_a_terminal(bundle: Bundle) -> None:
    bundle.process["terminal"] = True
    bundle.shell(SCRIPT).write()
    with terminal(bundle, "run", "--bundle", str(bundle.path), NAME) as it:
        assert it.until("ready").splitlines()[:2] == ["/dev/pts/0", "31 97"]
        it.type("hello\r")
        assert "got hello" in it.until("got hello")
        assert it.process.wait(60) == 7
    assert call(bundle, "list", "-q").stdout == ""


def test_exec_in_a_terminal(bundle: Bundle) -> None:
    pid = start(bundle.shell("sleep 100"))
    try:
        with terminal(bundle, "exec", "-t", NAME, "sh", "-c", SCRIPT) as it:
            it.until("ready")
            it.type("there\r")
            it.until("got there")
            assert it.process.wait(60) == 7
        with terminal(bundle, "exec", "-t", NAME, "sh", "-c", "echo ready; sleep 50") as it:
            it.until("ready")
            it.type("\x03")
            assert it.process.wait(60) == 130
    finally:
        end(bundle, pid)


def test_much_output_is_all_shown(bundle: Bundle) -> None:
    pid = start(bundle.shell("sleep 100"))
    script = "dd if=/dev/zero bs=1000 count=300 2>/dev/null | tr '\\0' x; echo end"
    try:
        done = call(bundle, "exec", "-t", NAME, "sh", "-c", script)
    finally:
        end(bundle, pid)
    assert (done.returncode, done.stdout) == (0, "x" * 300_000 + "end\n")


def test_a_terminal_in_the_background_needs_somebody_to_have_it(bundle: Bundle) -> None:
    bundle.process["terminal"] = True
    bundle.shell("true").write()
    done = call(bundle, "run", "-d", "--bundle", str(bundle.path), NAME)
    assert (done.returncode, done.stderr) == (
        1,
        "cannot detach with a terminal: it needs --console-socket\n",
    )
