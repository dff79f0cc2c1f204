"""attach: a running container's streams, with and without a terminal."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pty
import select
import signal
import subprocess
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.scenario import PATIENCE_SECONDS, Scenario, command, eventually, not_on_peer

pytestmark = pytest.mark.timeout(300)  # what never comes would be waited for


@dataclass
class Attached:
    """A command in the test's hands; ``master`` is the terminal's, or a pipe of its output."""

    process: subprocess.Popen[bytes]
    reading: int
    writing: int

    def write(self, data: bytes) -> None:
        os.write(self.writing, data)

    def until(self, wanted: bytes) -> bytes:
        """Read until something was said."""
        said = b""
        while wanted not in said:
            with contextlib.suppress(OSError):  # EIO: nobody has the terminal open any more
                data = os.read(self.reading, 65536)
                assert data, said
                said += data
                continue
            raise AssertionError(said)
        return said

    def ended(self) -> int:
        return self.process.wait(PATIENCE_SECONDS)


@contextlib.contextmanager
def on_terminal(scenario: Scenario, *words: str) -> Iterator[Attached]:
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (33, 99))
    process = subprocess.Popen(
        [*command(), *words],
        cwd=scenario.directory,
        env=scenario.environment,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    try:
        # what was typed before is thrown away
        eventually(lambda: not termios.tcgetattr(master)[3] & termios.ICANON, "raw mode")
        yield Attached(process, master, master)
    finally:
        process.kill()
        process.wait()
        os.close(slave)
        os.close(master)


@contextlib.contextmanager
def on_pipes(scenario: Scenario, *words: str) -> Iterator[Attached]:
    process = subprocess.Popen(
        [*command(), *words],
        cwd=scenario.directory,
        env=scenario.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Attached(process, process.stdout.fileno(), process.stdin.fileno())
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def test_streams_are_joined_and_the_exit_code_is_the_containers(scenario: Scenario) -> None:
    scenario.up()
    with on_pipes(scenario, "attach", "plain") as attached:
        attached.write(b"one\n")
        said = attached.until(b"err one")
        assert b"out one" in said
        attached.write(b"leave\n")
        attached.until(b"err leave")
        assert attached.ended() == 7
    assert scenario.container("plain").exit_code == 7
    assert "out one" in scenario.logs("plain"), "what is shown is logged as well"


def test_stdout_and_stderr_stay_apart_and_the_end_of_input_ends_nothing(
    scenario: Scenario,
) -> None:
    scenario.up()
    done = scenario.run("attach", "plain", stdin="some\nleave\n", code=7)
    assert "out some\n" in done.out
    assert "err some\n" in done.err
    assert "err" not in done.out


def test_signals_go_to_the_container_unless_told_otherwise(scenario: Scenario) -> None:
    scenario.up()
    with on_pipes(scenario, "attach", "--sig-proxy=false", "plain") as attached:
        attached.write(b"here\n")
        attached.until(b"err here")
        attached.process.send_signal(signal.SIGINT)
        assert attached.ended() == 130
    assert scenario.container("plain").state == "running"
    with on_pipes(scenario, "attach", "plain") as attached:
        attached.write(b"again\n")
        attached.until(b"err again")
        attached.process.send_signal(signal.SIGUSR1)
        attached.write(b"more\n")
        attached.until(b"got USR1")
        attached.process.send_signal(signal.SIGINT)
        attached.write(b"wake\n")
        attached.until(b"got INT")
        assert attached.ended() == 9


def test_no_stdin_leaves_the_input_alone(scenario: Scenario) -> None:
    scenario.up()
    with on_pipes(scenario, "attach", "--no-stdin", "plain") as attached:
        attached.write(b"unheard\n")
        with on_pipes(scenario, "attach", "plain") as other:

            def is_shown() -> bool:  # what was said before the first joined is not shown to it
                other.write(b"heard\n")
                return bool(select.select([attached.reading], [], [], 0.1)[0])

            eventually(is_shown, "the first shows what the other said")
            assert b"unheard" not in attached.until(b"err heard")


def test_a_terminal_with_its_size_and_keys_for_leaving(scenario: Scenario) -> None:
    scenario.up()
    with on_terminal(scenario, "attach", "terminal") as attached:
        attached.write(b"echo $((6*7)); stty size\r")
        said = attached.until(b"33 99")
        assert b"42" in said
        termios.tcsetwinsize(attached.writing, (44, 111))
        attached.process.send_signal(signal.SIGWINCH)

        def is_resized() -> bool:
            return "44 111" in scenario.exec("terminal", "sh", "-c", "stty size < /proc/1/fd/0").out

        eventually(is_resized, "the terminal has the new size")
        attached.write(b"echo kept\x10\x10x\r")
        attached.until(b"kept")
        attached.write(b"\x10\x11")
        assert attached.ended() == 0
    assert scenario.container("terminal").state == "running"
    with on_terminal(scenario, "attach", "--detach-keys", "ctrl-x,b", "terminal") as attached:
        attached.write(b"\x10\x11echo still\r")
        attached.until(b"still")
        attached.write(b"\x18b")
        assert attached.ended() == 0
    with on_terminal(scenario, "attach", "terminal") as attached:
        attached.write(b"exit 3\r")
        assert attached.ended() == 3


def test_much_input_is_not_lost(scenario: Scenario) -> None:
    scenario.up()
    data = os.urandom(4_000_000).hex().encode()
    expected = hashlib.md5(data).hexdigest()
    with on_pipes(scenario, "attach", "counter") as attached:
        view = memoryview(data)
        while view:
            view = view[os.write(attached.writing, view) :]
        attached.until(expected.encode())


def test_what_cannot_be_attached_to(scenario: Scenario) -> None:
    scenario.up()
    done = scenario.run("attach", "terminal", code=None)
    assert done.code != 0
    assert "tty" in done.err.lower() or "terminal" in done.err
    scenario.run("pause", "deaf")
    assert "paused" in scenario.run("attach", "deaf", code=1).err
    scenario.run("unpause", "deaf")
    scenario.run("stop", "deaf")
    assert "not running" in scenario.run("attach", "deaf", code=1).err
    assert scenario.run("attach", "nobody", code=1).err


def test_a_lost_connection_is_told_and_the_container_goes_on(scenario: Scenario) -> None:
    not_on_peer("it has no shim of ours")
    scenario.up()
    before = scenario.started("plain")
    run = Path(scenario.environment["ORCHESTRA_RUN"])
    (place,) = run.glob(f"projects/*/containers/{scenario.container('plain').id}*/shim.pid")
    with on_pipes(scenario, "attach", "plain") as attached:
        attached.write(b"one\n")
        attached.until(b"err one")
        os.kill(json.loads(place.read_text())["pid"], signal.SIGKILL)
        attached.until(b"lost the connection")
        assert attached.ended() == 5
    assert scenario.started("plain") == before
