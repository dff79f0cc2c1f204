"""The journals of builds as files: their names, how many there are, and one written all at once.

For those in a hurry as well: imports next to nothing (ADR 0026).
"""

from __future__ import annotations

import fcntl
import os
import time

from orchestra.engine.linux.directories import make_private
from orchestra.engine.state.plain import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

VERSION = 1
ENTRIES_MAX = 100
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 25


def new_id() -> str:
    """Return the id of a build, of the form that BuildKit's have: 25 digits of base 36."""
    number = int.from_bytes(os.urandom(17))
    digits = ""
    while len(digits) < _ID_LENGTH:
        number, digit = divmod(number, len(_DIGITS))
        digits += _DIGITS[digit]
    return digits


def make_room(directory: str | os.PathLike[str]) -> None:
    """Remove the oldest journals where there are too many; those of running builds stay.

    :raises OSError: when the directory cannot be read.
    """
    names = sorted(os.listdir(directory))  # noqa: PTH208 - names alone, in order of time
    surplus = len(names) - ENTRIES_MAX + 1
    for name in names:
        if surplus <= 0:
            return
        surplus -= remove(os.path.join(directory, name))  # noqa: PTH118 - pathlib is dear


def remove(path: str | os.PathLike[str]) -> bool:
    """Remove a journal, unless its build runs; tell whether it went."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if is_held(fd):
                return False
            os.unlink(path)  # noqa: PTH108
        finally:
            os.close(fd)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def is_held(fd: int) -> bool:
    """Tell whether the build of an open journal runs."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False


def write_whole(
    directory: str,
    about: object,
    told: Sequence[Sequence[str]],
    end: Mapping[str, object],
    began_ns: int,
) -> None:
    """Write down a build that did nothing: what it is about, what it told, and its end.

    As all journals, one that cannot be written is left out.
    """
    identity = new_id()
    head = {"version": VERSION, "id": identity, "began_ns": began_ns, "about": about}
    milliseconds = (time.time_ns() - began_ns) // 1_000_000
    lines: list[object] = [head, *([milliseconds, *each] for each in told)]
    lines.append({"end": {**end, "milliseconds": milliseconds}})
    data = b"".join([dumps(line) + b"\n" for line in lines])
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
    try:
        make_private(directory)
        make_room(directory)
        fd = os.open(f"{directory}/{began_ns:020d}-{identity}.jsonl", flags, 0o600)
    except OSError:
        return
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)  # nobody takes it for one that was killed
        os.write(fd, data)
    except OSError:
        pass
    finally:
        os.close(fd)
