"""A thread that works ahead: everything arrives in order, and it never outlives its block."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from orchestra.engine.image.ahead import ahead


def nothing() -> None:
    pass


def named() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "ahead"]


def test_pieces_come_in_order_and_no_more_than_the_limit_are_made_ahead() -> None:
    made: list[int] = []

    def pieces() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    with ahead(pieces(), limit=3, abandon=nothing) as taken:
        for number, piece in enumerate(taken):
            assert piece == number
            assert len(made) <= number + 1 + 3 + 1, "three wait, and one is being made"
    assert len(made) == 1000
    assert named() == []


def test_failure_comes_after_the_pieces_before_it() -> None:
    def pieces() -> Iterator[int]:
        yield 1
        raise EOFError("early")

    found = []
    with pytest.raises(EOFError, match="early"), ahead(pieces(), limit=2, abandon=nothing) as taken:
        found.extend(taken)
    assert found == [1]
    assert named() == []


def test_block_that_fails_ends_what_the_pieces_wait_for() -> None:
    waiting = threading.Event()

    def pieces() -> Iterator[int]:
        yield 1
        assert waiting.wait(30)
        yield 2

    def fail() -> None:
        with ahead(pieces(), limit=2, abandon=waiting.set) as taken:
            assert next(taken) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert waiting.is_set()
    assert named() == []


def test_block_that_wants_no_more_ends() -> None:
    with ahead(iter(range(10**6)), limit=2, abandon=nothing) as taken:
        assert next(taken) == 0
    assert named() == []
