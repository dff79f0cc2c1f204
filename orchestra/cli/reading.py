"""Archives that a command reads: a file, or stdin where that is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from orchestra.errors import UsageError


@contextmanager
def opened(name: str, *, option: str) -> Iterator[BinaryIO]:
    """Open a file to read, stdin for "" and "-".

    :raises UsageError: when it cannot be read, or stdin is a terminal.
    """
    if name in {"", "-"}:
        if sys.stdin.isatty():
            raise UsageError(
                "an archive on stdin is wanted, and that is a terminal", hint=f"use {option}"
            )
        yield sys.stdin.buffer
        return
    try:
        file = Path(name).open("rb")  # noqa: SIM115 - closed below
    except OSError as err:
        raise UsageError(f'cannot read "{name}": {(err.strerror or "").lower()}') from err
    with file:
        yield file
