"""Which name was meant by one that is not known. Pure."""

from __future__ import annotations

from collections.abc import Sequence

_SUGGEST_WITHIN = 3


def suggest(name: str, names: Sequence[str]) -> str:
    """Return the name that is meant, it seems: the nearest one within two edits; "" is none."""
    best, least = "", _SUGGEST_WITHIN
    for candidate in names:
        distance = _distance(name, candidate)
        if distance == 0:
            return ""
        if distance < least:
            best, least = candidate, distance
    return best


def did_you_mean(name: str, names: Sequence[str]) -> str:
    """Return the hint that names what was meant, it seems; "" when nothing is near."""
    near = suggest(name, names)
    return f"did you mean {near}?" if near else ""


def _distance(one: str, other: str) -> int:
    """Return the Levenshtein distance."""
    row = list(range(len(other) + 1))
    for number, left in enumerate(one, 1):
        before, row[0] = row[0], number
        for column, right in enumerate(other, 1):
            cost = min(row[column] + 1, row[column - 1] + 1, before + (left != right))
            before, row[column] = row[column], cost
    return row[-1]
