"""An iterator whose work a thread of its own does, a few pieces ahead of who takes them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

T = TypeVar("T")


class _Ahead(Generic[T]):
    """What passes between the two threads; ``limit`` pieces at most are waiting."""

    def __init__(self, pieces: Iterator[T], limit: int) -> None:
        self._pieces = pieces
        self._limit = limit
        self._waiting: deque[T] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._ended = False
        self._failure: BaseException | None = None

    def work(self) -> None:
        """Take pieces until there are no more, or nobody wants them."""
        failure: BaseException | None = None
        try:
            for piece in self._pieces:
                if not self._put(piece):
                    break
        except BaseException as err:  # noqa: BLE001 - raised where the pieces are taken
            failure = err
        with self._changed:
            self._ended, self._failure = True, failure
            self._changed.notify_all()

    def _put(self, piece: T) -> bool:
        with self._changed:
            while len(self._waiting) >= self._limit and not self._closed:
                self._changed.wait()
            self._waiting.append(piece)
            self._changed.notify_all()
            return not self._closed

    def taken(self) -> Iterator[T]:
        """Yield the pieces, and raise what their maker raised."""
        while True:
            with self._changed:
                while not self._waiting and not self._ended:
                    self._changed.wait()
                if not self._waiting:
                    break
                piece = self._waiting.popleft()
                self._changed.notify_all()
            yield piece
        if self._failure is not None:
            raise self._failure

    def close(self) -> None:
        """Want no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


@contextmanager
def ahead(pieces: Iterator[T], *, limit: int, abandon: Callable[[], None]) -> Iterator[Iterator[T]]:
    """Give the same pieces, made in a thread that has ended when the block has.

    ``abandon`` is called when the block fails: it has to end whatever the pieces wait for.
    """
    shared = _Ahead(pieces, limit)
    thread = threading.Thread(target=shared.work, name="ahead", daemon=True)
    thread.start()
    try:
        yield shared.taken()
    except BaseException:
        abandon()
        raise
    finally:
        shared.close()
        thread.join()
