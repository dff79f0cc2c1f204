"""When subscribers hear of the sockets that a launcher holds."""

from __future__ import annotations

import os
import socket

import pytest

from orchestra.engine.launcher.holdings import Holdings
from orchestra.engine.shim import wire


@pytest.fixture
def heard():
    """Return holdings, and a function that tells what a subscriber of them has heard."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.settimeout(0)
    theirs.settimeout(0)
    holdings = Holdings()
    holdings.subscribe(theirs)

    def listen():
        assert holdings.flush() == ([], [])
        found = []
        while True:
            try:
                message, fds = wire.receive(ours)
            except BlockingIOError:
                return found
            wire.close_all(fds)
            found.append((message.get("id", ""), message.get("gone", ""), len(fds)))

    with ours, theirs:
        yield holdings, listen


def sockets() -> list[int]:
    return [os.open("/dev/null", os.O_RDONLY) for _ in range(2)]


HOLD = {"op": "hold", "dns": True, "listen": []}


def test_sockets_are_told_of_at_once(heard):
    holdings, listen = heard
    holdings.take("a", HOLD, sockets(), later=False)
    assert listen() == [("a", "", 2)]
    holdings.tell("a")
    assert listen() == []
    holdings.release("a")
    assert listen() == [("", "a", 0)]


def test_those_of_a_container_that_is_starting_are_told_of_later(heard):
    holdings, listen = heard
    holdings.take("a", HOLD, sockets(), later=True)
    assert listen() == []
    holdings.tell("a")
    assert listen() == [("a", "", 2)]
    holdings.release("a")
    assert listen() == [("", "a", 0)]


def test_who_subscribes_in_between_is_told_once(heard):
    holdings, _ = heard
    holdings.take("a", HOLD, sockets(), later=True)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        holdings.subscribe(theirs)
        assert holdings.flush() == ([], [])
        holdings.tell("a")
        assert holdings.flush() == ([], [])
        message, fds = wire.receive(ours) or ({}, [])
        wire.close_all(fds)
        assert message["id"] == "a"
        ours.settimeout(0)
        with pytest.raises(BlockingIOError):
            wire.receive(ours)
    holdings.release("a")


def test_a_container_that_ends_before_it_was_told_of_is_gone(heard):
    holdings, listen = heard
    holdings.take("a", HOLD, sockets(), later=True)
    holdings.release("a")
    holdings.tell("a")
    assert listen() == [("", "a", 0)]
