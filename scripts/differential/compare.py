"""Two records of a case -> where they differ."""

from __future__ import annotations

from scripts.differential.record import Record, flat
from scripts.known import Difference


def compare(case: str, ours: Record, theirs: Record) -> list[Difference]:
    """Return the differences of two records; of two failures only the fact counts."""
    if "fails" in ours or "fails" in theirs:
        if "fails" in ours and "fails" in theirs:
            return []
        words = [str(one.get("fails", "builds")) for one in (ours, theirs)]
        return [Difference(case, "fails", *words)]
    left, right = flat(ours), flat(theirs)
    return [
        Difference(case, key, left.get(key, "(absent)"), right.get(key, "(absent)"))
        for key in sorted(left.keys() | right.keys())
        if left.get(key) != right.get(key)
    ]
