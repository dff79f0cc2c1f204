"""Keys that were x-* keys before the specification took them in: the old name still works.

Runs on each document before it is normalized. Where both names stand, the new one wins.
"""

from __future__ import annotations

from orchestra.spec.findings import Findings
from orchestra.spec.keypath import KeyPath
from orchestra.spec.merge import merge
from orchestra.spec.tree import MarkedMap, Value, entries, items, lookup, mark_of

_ALIASES = (
    (("services", "*"), "x-develop", "develop"),
    (("services", "*", "develop", "watch", "[]"), "x-initialSync", "initial_sync"),
)
"""Where, the old name, the new one; outer ones first."""


def promote(tree: Value, findings: Findings) -> None:
    """Give what stands under an old name its new one, in place."""
    for pattern, old, new in _ALIASES:
        for holder, path in _places(tree, pattern, ()):
            if old not in holder:
                continue
            mark = mark_of(holder, old)
            value = holder.pop(old)
            known = holder.get(new)
            if known is not None:
                value = merge(value, known, findings, (*path, new))
            holder.put(new, value, mark_of(holder, new) or mark)


def renamed(path: KeyPath) -> KeyPath:
    """Return a path with old names replaced by new ones."""
    parts = list(path)
    for pattern, old, new in _ALIASES:
        depth = len(pattern)
        if len(parts) > depth and parts[depth] == old and _fits(parts, pattern):
            parts[depth] = new
    return tuple(parts)


def _fits(parts: list[str | int], pattern: tuple[str, ...]) -> bool:
    return all(
        isinstance(part, int) if wanted == "[]" else wanted in {"*", part}
        for part, wanted in zip(parts, pattern, strict=False)
    )


def _places(
    tree: Value, pattern: tuple[str, ...], path: KeyPath
) -> list[tuple[MarkedMap, KeyPath]]:
    """Return the mappings at a pattern."""
    if not pattern:
        return [(tree, path)] if isinstance(tree, MarkedMap) else []
    first, *rest = pattern
    below: list[tuple[str | int, Value]]
    if first == "[]":
        below = [(index, value) for index, (value, _) in enumerate(items(tree))]
    elif first == "*":
        below = [(key, value) for key, value, _ in entries(tree)]
    else:
        below = [(first, lookup(tree, first))]
    found: list[tuple[MarkedMap, KeyPath]] = []
    for key, value in below:
        found.extend(_places(value, tuple(rest), (*path, key)))
    return found
