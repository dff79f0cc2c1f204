"""Paths of keys into a document, and tables of rules chosen by path.

A pattern is dotted: ``services.*.ports.[].target``; ``*`` is any key, ``[]`` any list item, and
``{a,b}`` stands for either, so that one row of a table may name several attributes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Generic, TypeAlias, TypeVar

KeyPath: TypeAlias = tuple[str | int, ...]
Rule = TypeVar("Rule")


def dotted(path: KeyPath) -> str:
    """Render a path as people write it: ``services.web.ports[0]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def expand(pattern: str) -> Iterator[tuple[str, ...]]:
    """Yield the parts of every pattern that a pattern with ``{a,b}`` stands for."""
    choices = [part[1:-1].split(",") if part.startswith("{") else [part] for part in split(pattern)]
    yield from product(*choices)


def split(pattern: str) -> list[str]:
    """Split a pattern at its dots."""
    return pattern.split(".") if pattern else []


class PathTable(Generic[Rule]):
    """Rules by pattern, walked step by step beside a document; an exact key beats ``*``."""

    __slots__ = ("_children", "_depth", "rule")

    def __init__(self, rows: Iterable[tuple[str, Rule]] = ()) -> None:
        self.rule: Rule | None = None
        self._children: dict[str, PathTable[Rule]] = {}
        self._depth = 0
        for pattern, rule in rows:
            for parts in expand(pattern):
                self._insert(parts, rule)

    def _insert(self, parts: tuple[str, ...], rule: Rule) -> None:
        node = self
        self._depth = max(self._depth, len(parts))
        for part in parts:
            node = node._children.setdefault(part, PathTable())
        node.rule = rule

    def step(self, key: str | int) -> PathTable[Rule] | None:
        """Return the table below a key, None when no pattern goes on there."""
        if isinstance(key, int):
            return self._children.get("[]")
        return self._children.get(key) or self._children.get("*")

    def at(self, path: KeyPath) -> Rule | None:
        """Return the rule of a whole path."""
        if len(path) > self._depth:
            return None
        node: PathTable[Rule] | None = self
        for part in path:
            node = node.step(part) if node is not None else None
        return node.rule if node is not None else None
