"""The one error of the v2 machine's maker and runner."""

from __future__ import annotations

from collections.abc import Sequence


class MachineError(Exception):
    """The machine cannot be made or run; the message says why, ``tail`` what it said last."""

    def __init__(self, message: str, tail: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.tail = tuple(tail)
