"""The user's terminal: its size, and raw mode."""

from __future__ import annotations

import os
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager


def size_of(terminal: int) -> tuple[int, int]:
    """Return rows and columns; 24 and 80 of what is no terminal."""
    try:
        columns, rows = os.get_terminal_size(terminal)
    except OSError:
        return 24, 80
    return rows, columns


@contextmanager
def raw_terminal(fd: int) -> Iterator[None]:
    """Put a terminal into raw mode meanwhile; what is no terminal stays as it is."""
    try:
        before = termios.tcgetattr(fd)
    except termios.error:
        yield
        return
    tty.setraw(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
