"""Directories that are for their owner alone, with all that is made on the way to them."""

# No pathlib here: the shim's process stays small.
# ruff: noqa: PTH102, PTH120

from __future__ import annotations

import os

_PRIVATE = 0o700


def make_private(path: str | os.PathLike[str]) -> None:
    """Make a directory and those above it where missing, each with mode 0700.

    ``os.makedirs`` and ``Path.mkdir`` give their mode to the last one only. What is there already
    stays as it is.

    :raises OSError: when one cannot be made, or something else is in its place.
    """
    try:
        os.mkdir(path, _PRIVATE)
    except FileNotFoundError:
        make_private(os.path.dirname(os.path.abspath(path)))  # noqa: PTH100 - as above
        make_private(path)
    except FileExistsError:
        if os.path.isdir(path):  # noqa: PTH112 - as above
            return
        if os.path.lexists(path):
            raise
        make_private(path)  # it was removed in between
