"""Last words: what a peer said is heard, though it left without having read what came to it."""

from __future__ import annotations

import socket

import pytest

from orchestra.engine.runtime.failure import RuntimeFailure
from orchestra.engine.runtime.sync import channel_pair
from orchestra.engine.shim import wire


def test_a_failure_is_heard_of_a_child_that_did_not_listen() -> None:
    ours, theirs = channel_pair()
    ours.send({"kind": "go"})
    theirs.send_failure(RuntimeFailure("it leads out of there"))
    theirs.close()
    with pytest.raises(RuntimeFailure, match="it leads out of there"):
        ours.receive()
    assert ours.receive() is None
    ours.close()


def test_a_message_is_heard_of_a_peer_that_did_not_listen() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        wire.send(ours, {"op": "quit"})
        wire.send(theirs, {"ok": False})
        theirs.close()
        assert wire.receive(ours) == ({"ok": False}, [])
        assert wire.receive(ours) is None


def test_the_end_of_a_peer_that_said_nothing_is_an_end() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        wire.send(ours, {"op": "quit"})
        theirs.close()
        assert wire.receive(ours) is None
