"""The tree of a document: plain values whose mappings and lists remember where entries stand.

Owns the containers and walks over them. Knows nothing of Compose or of YAML.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import zip_longest
from typing import NamedTuple, TypeAlias

from orchestra.errors import Location
from orchestra.spec.keypath import KeyPath, dotted

Value: TypeAlias = "bool | int | float | str | timedelta | list[Value] | dict[str, Value] | None"


EXTENSIONS = "#extensions"
"""The key under which the x-* keys of an element travel into the model."""

SINGLE = "#single"
"""The key that marks the long form of what was written as one number."""


class Mark(NamedTuple):
    """A place in a file; line and column count from 1, 0 where unknown."""

    file: str
    line: int = 0
    column: int = 0


class MarkedMap(dict[str, Value]):
    """A mapping that knows the place of each key."""

    __slots__ = ("marks",)

    def __init__(
        self, values: Mapping[str, Value] | None = None, marks: Mapping[str, Mark] | None = None
    ) -> None:
        super().__init__(values or {})
        self.marks: dict[str, Mark] = dict(marks or {})

    def put(self, key: str, value: Value, mark: Mark | None) -> None:
        """Set an entry together with its place."""
        self[key] = value
        if mark is not None:
            self.marks[key] = mark


class MarkedList(list[Value]):
    """A list that knows the place of each item."""

    __slots__ = ("marks",)

    def __init__(self, values: Iterable[Value] = (), marks: Iterable[Mark | None] = ()) -> None:
        super().__init__(values)
        self.marks: list[Mark | None] = list(marks)

    def add(self, value: Value, mark: Mark | None) -> None:
        """Append an item together with its place."""
        self.append(value)
        self.marks.append(mark)


def mark_of(container: Value, key: str | int) -> Mark | None:
    """Return the place of an entry, None where it is not known."""
    if isinstance(container, MarkedMap) and isinstance(key, str):
        return container.marks.get(key)
    if isinstance(container, MarkedList) and isinstance(key, int):
        return container.marks[key] if key < len(container.marks) else None
    return None


def entries(container: Value) -> list[tuple[str, Value, Mark | None]]:
    """Return the entries of a mapping with their places; nothing for anything else."""
    if isinstance(container, MarkedMap):
        mark = container.marks.get
        return [(key, value, mark(key)) for key, value in container.items()]
    if isinstance(container, dict):
        return [(key, value, None) for key, value in container.items()]
    return []


def items(container: Value) -> list[tuple[Value, Mark | None]]:
    """Return the items of a list with their places; nothing for anything else."""
    if isinstance(container, MarkedList):
        return list(zip_longest(container, container.marks[: len(container)]))
    if isinstance(container, list):
        return [(value, None) for value in container]
    return []


def child(container: Value, key: str | int) -> tuple[bool, Value]:
    """Return whether an entry is there, and the entry."""
    if isinstance(container, dict) and isinstance(key, str) and key in container:
        return True, container[key]
    if isinstance(container, list) and isinstance(key, int) and key < len(container):
        return True, container[key]
    return False, None


def place(tree: Value, path: KeyPath) -> Mark | None:
    """Return the place of the deepest part of ``path`` that is known."""
    found: Mark | None = None
    for key in path:
        found = mark_of(tree, key) or found
        present, tree = child(tree, key)
        if not present:
            break
    return found


def location(mark: Mark | None, path: KeyPath) -> Location | None:
    """Return the place as errors carry it."""
    key = dotted(path)
    if mark is None:
        return Location(file="", key=key) if key else None
    return Location(mark.file, mark.line, mark.column, key)


def mapping(value: Value) -> dict[str, Value]:
    """Return the value if it is a mapping, else an empty one."""
    return value if isinstance(value, dict) else {}


def lookup(tree: Value, *keys: str) -> Value:
    """Return what stands under nested keys, None where nothing does."""
    for key in keys:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(key)
    return tree


def size(tree: Value) -> int:
    """Return how many values a tree holds, itself included."""
    if isinstance(tree, dict):
        return 1 + sum(map(size, tree.values()))
    return 1 + sum(map(size, tree)) if isinstance(tree, list) else 1


def copy(tree: Value) -> Value:
    """Return an independent copy, places included."""
    if isinstance(tree, dict):
        grown = shallow(tree)
        for key, value in tree.items():
            if isinstance(value, dict | list):
                grown[key] = copy(value)
        return grown
    if isinstance(tree, list):
        places: Sequence[Mark | None] = tree.marks if isinstance(tree, MarkedList) else ()
        return MarkedList(map(copy, tree), places)
    return tree


def shallow(value: Mapping[str, Value]) -> MarkedMap:
    """Return a copy of a mapping that shares its entries."""
    return MarkedMap(value, value.marks if isinstance(value, MarkedMap) else None)


def adopt(value: Value, mark: Mark | None) -> Value:
    """Give a container that has no places the place of the value that it was made from."""
    if isinstance(value, MarkedMap | MarkedList):
        return value
    if isinstance(value, dict):
        grown = MarkedMap()
        for key, entry in value.items():
            grown.put(key, adopt(entry, mark), mark)
        return grown
    if isinstance(value, list):
        return MarkedList((adopt(entry, mark) for entry in value), [mark] * len(value))
    return value
