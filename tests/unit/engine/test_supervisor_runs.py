"""The conversation of a `run`: what a command asks of a supervisor, and what it does at the end."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from orchestra.engine.container.run_plain import Handed, LostError
from orchestra.engine.events import EventBus
from orchestra.engine.shim import wire
from orchestra.engine.state.plain import NotPlainError
from orchestra.engine.supervisor import server
from orchestra.engine.target import Begun, RunRequest
from orchestra.errors import ContainerError
from orchestra.planner.oneoff import Run

pytestmark = pytest.mark.anyio
REQUEST = {
    "code": "c",
    "key": "k",
    "run": {"service": "web", "slug": "s", "command": ("true",), "environment": {"A": "1"}, "user": None},
    "no_deps": False,
    "remove": True,
}  # fmt: skip


class Hands:
    """Makes "containers" that write a word and exit with 3."""

    def __init__(self) -> None:
        self.requests: list[RunRequest] = []
        self.ended: list[tuple[str, bool]] = []
        self.refuse = False
        self.failure: ContainerError | OSError | None = None
        self.end_failure: ContainerError | None = None
        self.ours: socket.socket | None = None
        self.over = anyio.Event()

    async def begin(self, request: RunRequest, stdio: list[int]) -> Begun | None:
        self.requests.append(request)
        if self.failure:
            raise self.failure
        if self.refuse:
            return None
        os.write(stdio[1], b"word\n")
        self.ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        wire.send(self.ours, {"ok": True, "code": 3})
        return Begun(container_id="id", descriptors=(theirs.detach(),))

    async def end(self, container_id: str, *, remove: bool) -> None:
        self.ended.append((container_id, remove))
        self.over.set()
        if self.end_failure:
            raise self.end_failure


@pytest.fixture
def hands() -> Iterator[Hands]:
    hands = Hands()
    yield hands
    if hands.ours:
        hands.ours.close()


@asynccontextmanager
async def serving(directory: Path, hands: Hands) -> AsyncIterator[anyio.CancelScope]:
    listener = await server.listen(directory)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, listener, EventBus(), lambda: None, lambda: hands)
            yield tasks.cancel_scope
            tasks.cancel_scope.cancel()


async def asked(directory: Path, request: dict[str, object] = REQUEST) -> int:
    """Run as the command does; its signals are a main thread's, and are left alone here."""
    handed = Handed(str(directory))
    try:
        return await anyio.to_thread.run_sync(partial(handed.ask, request, stdin=None, tty=False))
    finally:
        await anyio.to_thread.run_sync(handed.end)


async def test_a_run_is_made_and_ended(
    tmp_path: Path, hands: Hands, capfd: pytest.CaptureFixture[str]
) -> None:
    async with serving(tmp_path, hands):
        assert await asked(tmp_path) == 3
    assert capfd.readouterr().out == "word\n"
    run = Run(service="web", slug="s", command=("true",), environment={"A": "1"})
    assert hands.requests == [RunRequest(code="c", key="k", run=run, no_deps=False, remove=True)]
    assert hands.ended == [("id", True)]


async def test_what_is_refused_is_another_ones(tmp_path: Path, hands: Hands) -> None:
    hands.refuse = True
    async with serving(tmp_path, hands):
        with pytest.raises(NotPlainError):
            await asked(tmp_path)
        large = {**REQUEST, "key": "k" * 70000}
        with pytest.raises(NotPlainError):
            await asked(tmp_path, large)
    assert len(hands.requests) == 1
    assert hands.ended == []


async def test_errors_are_told(tmp_path: Path, hands: Hands) -> None:
    hands.failure = ContainerError("no", hint="try")
    async with serving(tmp_path, hands):
        with pytest.raises(ContainerError, match="no") as caught:
            await asked(tmp_path)
        assert caught.value.hint == "try"
        hands.failure = OSError(28, "No space left on device")
        with pytest.raises(ContainerError, match="No space left"):
            await asked(tmp_path)
        hands.failure, hands.end_failure = None, ContainerError("cannot remove")
        with pytest.raises(ContainerError, match="cannot remove"):
            await asked(tmp_path)


async def test_a_command_that_is_gone_is_cleaned_up_after(tmp_path: Path, hands: Hands) -> None:
    line = json.dumps(REQUEST)
    null = os.open(os.devnull, os.O_RDWR)
    async with serving(tmp_path, hands):
        with closing(socket.socket(socket.AF_UNIX)) as sock:
            sock.connect(str(tmp_path / "supervisor.sock"))
            socket.send_fds(sock, [f"run {line}\n".encode()], [null] * 3)
        await hands.over.wait()
        assert hands.ours is not None
        assert wire.receive(hands.ours) is None, "nobody holds the container any more"
    os.close(null)
    assert hands.ended == [("id", True)]


async def test_a_supervisor_that_goes_away_is_told_from_a_refusal(
    tmp_path: Path, hands: Hands
) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "supervisor.sock"))
    listener.listen()

    def hang_up() -> None:
        connection, _ = listener.accept()
        connection.recv(65536)
        connection.close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    handed = Handed(str(tmp_path))
    ask = partial(handed.ask, REQUEST, stdin=None, tty=False)
    with pytest.raises(LostError):
        await anyio.to_thread.run_sync(ask)
    with pytest.raises(LostError):
        handed.end()
    thread.join()
    listener.close()
    with pytest.raises(OSError, match="refused"):
        Handed(str(tmp_path))


def test_what_makes_runs_is_imported_by_the_first_one() -> None:
    code = (
        "import sys, orchestra.engine.supervise, orchestra.engine.local.warden;print(*sys.modules)"
    )
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True)
    runs = {f"orchestra.engine.{name}" for name in ("supervisor.runs", "local.runs", "gates")}
    others = {"orchestra.planner.reconcile", "orchestra.engine.container.foreground"}
    assert (runs | others).isdisjoint(done.stdout.split())


async def test_what_is_no_request_is_refused(tmp_path: Path, hands: Hands) -> None:
    texts = ("", "{", "[]", json.dumps({**REQUEST, "more": 1}))
    async with serving(tmp_path, hands):
        for text in texts:
            with closing(socket.socket(socket.AF_UNIX)) as sock:
                sock.connect(str(tmp_path / "supervisor.sock"))
                sock.sendall(f"run {text}\n".encode())
                await anyio.wait_readable(sock)
                assert sock.recv(4096) == b'{"refused":true}\n'
    assert hands.requests == []
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
