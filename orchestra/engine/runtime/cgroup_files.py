"""Files and directories of cgroup file systems, alike in v1 and v2."""

# ruff: noqa: PTH102, PTH104, PTH106, PTH208 - the kernel's files by the plainest call; pathlib is 8 ms of import

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterable

from orchestra.engine.linux.process import read_text
from orchestra.engine.runtime.failure import RuntimeFailure, describe

ROOT_NAME = "orchestra"
"""Directories of this name and below it are ours: removed when they are empty."""

_REMOVAL_TRIES = 26
_MAKING_TRIES = 32
_GONE = frozenset({errno.ENOENT, errno.ENODEV})
"""What a cgroup's files say that is removed meanwhile: before they are open, and after."""


def write(directory: str, name: str, value: str) -> None:
    """Write a control file.

    :raises RuntimeFailure: when the kernel refuses the value, or there is no such file.
    """
    write_all(directory, name, (value,))


def write_all(directory: str, name: str, values: Iterable[str]) -> None:
    """Write values to a control file, one after the other. As ``write``."""
    value = ""
    try:
        fd = -1
        try:
            for value in values:
                if fd < 0:
                    fd = os.open(f"{directory}/{name}", os.O_WRONLY | os.O_CLOEXEC)
                os.write(fd, value.encode())
        finally:
            if fd >= 0:
                os.close(fd)
    except OSError as err:
        why = describe(err)
        raise RuntimeFailure(
            f'cannot set {name} to "{value}": {why}', errno=err.errno or 0
        ) from err


def make_directory(directory: str, fill: Callable[[str], None] | None = None) -> None:
    """Make a cgroup and what is missing above it; ``fill`` prepares each new one.

    An old one is replaced, for its counters. Tried again when a parent is removed meanwhile
    (another container's end).

    :raises RuntimeFailure: when it cannot be made, or is in use.
    """
    for _ in range(_MAKING_TRIES):
        try:
            try:
                os.mkdir(directory, 0o755)
            except FileExistsError:
                with contextlib.suppress(FileNotFoundError):
                    os.rmdir(directory)
                _make(directory, fill)
            except FileNotFoundError:
                _make(directory, fill)
            else:
                if fill is not None:
                    fill(directory)
        except RuntimeFailure as failure:
            if failure.errno not in _GONE:
                raise
            continue
        except OSError as err:
            if err.errno in _GONE:
                continue
            raise RuntimeFailure(
                f"cannot make the cgroup {directory}: {describe(err)}", errno=err.errno or 0
            ) from err
        return
    raise RuntimeFailure(f"cannot make the cgroup {directory}: its parents keep vanishing")


def _make(directory: str, fill: Callable[[str], None] | None) -> None:
    try:
        os.mkdir(directory, 0o755)
    except FileExistsError:
        return
    except FileNotFoundError:
        parent = directory.rpartition("/")[0]
        if not parent:
            raise
        _make(parent, fill)
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory, 0o755)
    if fill is not None:
        fill(directory)


def rename_directory(directory: str, name: str) -> None:
    """Give a v1 cgroup another name beside it; an old one of that name is replaced.

    :raises RuntimeFailure: when it is refused, or the old one is in use.
    """
    try:
        try:
            os.rename(directory, name)
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(name)
            os.rename(directory, name)
    except OSError as err:
        raise RuntimeFailure(
            f"cannot make the cgroup {name}: {describe(err)}", errno=err.errno or 0
        ) from err


def sweep(directory: str, prefix: str) -> None:
    """Remove the cgroups in a directory that are empty and have a name that begins so."""
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(directory):
            if name.startswith(prefix):
                with contextlib.suppress(OSError):
                    os.rmdir(f"{directory}/{name}")


def remove_directory(directory: str) -> None:
    """Remove a cgroup with those below it, then parents of ours that are empty.

    The kernel says EBUSY until the last zombie is gone: tried again for a second.
    """
    for attempt in range(_REMOVAL_TRIES):
        if _remove_tree(directory):
            break
        time.sleep(0.001 * min(2**attempt, 50))
    prune(directory.rpartition("/")[0])


def prune(directory: str) -> None:
    """Remove a directory of ours where it is empty, and those above it.

    One that is gone already may have left others behind: somebody was killed between the two.
    """
    while ROOT_NAME in directory.split("/"):
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            pass
        except OSError:
            return
        directory = directory.rpartition("/")[0]


def _remove_tree(directory: str) -> bool:
    """Remove what can be removed, the deepest first; tell whether nothing is left."""
    try:
        os.rmdir(directory)
        return True
    except FileNotFoundError:
        return True
    except OSError as err:
        if err.errno not in {errno.EBUSY, errno.ENOTEMPTY}:
            return True
    with contextlib.suppress(FileNotFoundError):
        for entry in list(os.scandir(directory)):
            if entry.is_dir(follow_symlinks=False):
                _remove_tree(entry.path)
    try:
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def pids_below(directory: str) -> list[int]:
    """Return the processes of a cgroup and of all below it."""
    pids = []
    with contextlib.suppress(FileNotFoundError, OSError):
        pids += [int(line) for line in read_text(f"{directory}/cgroup.procs").split()]
        for entry in os.scandir(directory):
            if entry.is_dir(follow_symlinks=False):
                pids += pids_below(entry.path)
    return pids


def counter(path: str, name: str) -> int:
    """Return one value of a file of "name value" lines; 0 where it is missing."""
    try:
        lines = read_text(path).splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.split()[:1] == [name]), 0)
