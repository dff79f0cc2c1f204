"""Remove a directory tree that others filled: any depth, no link followed, no memory of it."""

# ruff: noqa: PTH208 - pathlib lists no descriptors

from __future__ import annotations

import os
import stat
from contextlib import suppress

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str, *, dir_fd: int | None = None) -> None:
    """Remove a directory and all in it; nothing happens where there is none. Blocking.

    Directories are moved up to the top before they are emptied, so that neither the stack nor the
    open descriptors grow with the depth.

    :raises OSError: when something in it cannot be removed.
    """
    try:
        top = os.open(path, _DIRECTORY, dir_fd=dir_fd)
    except FileNotFoundError:
        return
    try:
        number = 0
        while names := os.listdir(top):
            for name in names:
                number = _remove_one(top, name, number)
    finally:
        os.close(top)
    os.rmdir(path, dir_fd=dir_fd)


def _remove_one(top: int, name: str, number: int) -> int:
    """Remove one name below ``top``; its subdirectories come to lie in ``top``."""
    if not _is_directory(top, name):
        os.unlink(name, dir_fd=top)
        return number
    fd = os.open(name, _DIRECTORY, dir_fd=top)
    try:
        for child in os.listdir(fd):
            if _is_directory(fd, child):
                number = _move_up(fd, child, top, number)
            else:
                os.unlink(child, dir_fd=fd)
    finally:
        os.close(fd)
    os.rmdir(name, dir_fd=top)
    return number


def _move_up(fd: int, child: str, top: int, number: int) -> int:
    while True:
        number += 1
        name = f".removed.{number}"
        with suppress(FileExistsError, OSError):
            os.stat(name, dir_fd=top, follow_symlinks=False)
            continue
        os.rename(child, name, src_dir_fd=fd, dst_dir_fd=top)
        return number


def _is_directory(fd: int, name: str) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
