"""An exec that was announced, where the launcher does not take it."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from orchestra.engine import plainly
from orchestra.engine.container import exec_plain, exec_talk

DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture
def hanging_up(tmp_path):
    """A launcher that hears one message, and hangs up; return its environment and what it heard."""
    directory = tmp_path / "projects/p"
    directory.mkdir(parents=True)
    heard = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(directory / plainly.LAUNCHER_SOCKET))
        listener.listen()

        def serve():
            client, _ = listener.accept()
            with client:
                heard.append(json.loads(client.recv(4096)))

        server = threading.Thread(target=serve)
        server.start()
        yield {"ORCHESTRA_DATA": str(tmp_path), "ORCHESTRA_RUN": str(tmp_path)}, heard, server
        server.join()


def test_it_is_left_to_others(hanging_up, monkeypatch):
    environment, heard, server = hanging_up

    def request_of(*_):
        server.join()
        return {}

    monkeypatch.setattr(exec_plain, "request_of", request_of)
    monkeypatch.setattr(exec_talk, "talk", lambda *_, **__: pytest.fail("nobody hears it"))
    before = len(list(DESCRIPTORS.iterdir()))
    with pytest.raises(plainly.NotPlainError):
        plainly.exec_plainly(environment, 0, "p", lambda _: None)
    assert heard == [{"op": "exec"}]
    assert len(list(DESCRIPTORS.iterdir())) == before
