"""File modes as --chmod writes them: octal, or symbolic as chmod(1) reads it.

Pure.
"""

from __future__ import annotations

import re

from orchestra.errors import BuildError
from orchestra.values import dataclass

_CLAUSE = re.compile(r"([ugoa]*)((?:[+=-](?:[ugo]|[rwxXst]*))+)")
_ACTION = re.compile(r"([+=-])([ugo]|[rwxXst]*)")
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o0007, "a": 0o7777}
_SHIFTS = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": 0o1000}


@dataclass(frozen=True, slots=True)
class ModeChange:
    """A mode to set, or changes to make to the one that is there."""

    absolute: int | None
    clauses: tuple[tuple[str, str, str], ...] = ()

    def apply(self, mode: int, *, directory: bool) -> int:
        """Return the permission bits that a file of ``mode`` gets."""
        if self.absolute is not None:
            return self.absolute
        bits = mode & 0o7777
        for who, action, letters in self.clauses:
            mask = 0
            for letter in who or "a":
                mask |= _WHO[letter]
            bits = _changed(bits, mask, action, letters, directory=directory)
        return bits


def _changed(bits: int, mask: int, action: str, letters: str, *, directory: bool) -> int:
    value = 0
    for letter in letters:
        if letter == "X":
            value |= 0o111 if directory or bits & 0o111 else 0
        elif letter in _SHIFTS:
            value |= (bits >> _SHIFTS[letter] & 0o7) * 0o111
        else:
            value |= _BITS[letter]
    value &= mask
    if action == "+":
        return bits | value
    if action == "-":
        return bits & ~value
    return (bits & ~(mask & 0o777)) | value


def read_mode(text: str) -> ModeChange:
    """Read --chmod.

    :raises BuildError: when it is neither octal up to 7777 nor symbolic.
    """
    if re.fullmatch(r"[0-7]{1,12}", text) and int(text, 8) <= 0o7777:
        return ModeChange(int(text, 8))
    clauses: list[tuple[str, str, str]] = []
    for clause in text.split(","):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            raise BuildError(
                f'--chmod "{text[:50]}" is not a mode', hint="write it as 755 or u+x,go-w"
            )
        clauses += [(match[1], found[1], found[2]) for found in _ACTION.finditer(match[2])]
    return ModeChange(None, tuple(clauses))
