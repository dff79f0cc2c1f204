"""Why a value is what it is: the places that set it, in the order in which they were merged.

Pure: works on the layers of a load, after it. It applies the same tables as the merge does, so that
list items are followed by what makes them the same, not by their index.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum

from orchestra.spec.keypath import KeyPath, PathTable
from orchestra.spec.layers import Layer
from orchestra.spec.merge import IDENTITIES, MERGED_ITEMS, Identity, replaces
from orchestra.spec.paths import absolute
from orchestra.spec.tracing import Trace, trace_text, trace_variable
from orchestra.spec.tree import Mark, Value, child, entries, items, lookup, mapping, mark_of
from orchestra.values import dataclass, field, replace

EnvLines = Callable[[str, bool], Mapping[str, int]]
"""From an env file, and whether its format is raw, to the line of each of its variables."""

_FILES = {"environment": "env_file", "labels": "label_file"}
_FROM_OUTSIDE = frozenset({"environment", "args"})


class Rule(StrEnum):
    """How a place came to set a value."""

    FILE = "file"
    OVERRIDE = "override"
    EXTENDS = "extends"
    INCLUDE = "include"
    ENV_FILE = "env_file"
    LABEL_FILE = "label_file"
    OPTION = "option"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """One place that set a value; ``written`` is the text there, before variables.

    ``service`` is the one that was extended.
    """

    rule: Rule
    mark: Mark | None = None
    written: Value = None
    service: str | None = None
    variables: tuple[Trace, ...] = ()


@dataclass(frozen=True, slots=True)
class _Item:
    """One item of a list, to be found again in the lists that were merged."""

    value: Value
    mark: Mark | None
    identity: Identity | None


_Steps = tuple[str | _Item, ...]


@dataclass(frozen=True, slots=True)
class _Found:
    """What one layer has at a path; ``item`` is the list item around it."""

    value: Value
    origin: Origin
    item: Value = None


@dataclass(slots=True, kw_only=True)
class Evidence:
    """What a load left behind. ``tree`` is the complete one; ``shell``: the variables outside."""

    layers: tuple[Layer, ...]
    tree: Value
    shell: Mapping[str, str]
    env_lines: EnvLines
    _written: dict[int, dict[Mark, Value]] = field(default_factory=dict)

    def origins(self, path: KeyPath) -> tuple[Origin, ...]:
        """Return the places that set what stands at a path, the one that won last.

        Empty for what no file says.
        """
        found = list(self._from_files(path))
        steps = _steps(self.tree, path)
        for layer in self.layers:
            if not layer.extended:
                found.extend(self._from_layer(layer, steps, ()))
        if not replaces(path) and any(one.value is not None for one in found):
            found = [one for one in found if one.value is not None]
        return tuple(one.origin for one in _without_repeats(found))

    def _from_files(self, path: KeyPath) -> Iterator[_Found]:
        if len(path) != 4 or path[0] != "services" or path[2] not in _FILES:
            return
        kind = _FILES[str(path[2])]
        listed = lookup(self.tree, "services", str(path[1]), kind)
        for entry, _ in items(listed):
            file = str(lookup(entry, "path") if isinstance(entry, dict) else entry)
            line = self.env_lines(file, lookup(entry, "format") == "raw").get(str(path[3]))
            if line is not None:
                yield _Found(file, Origin(rule=Rule(kind), mark=Mark(file, line)))

    def _from_layer(
        self, layer: Layer, steps: _Steps, chain: tuple[tuple[str, str], ...]
    ) -> Iterator[_Found]:
        if len(steps) > 2 and steps[0] == "services" and isinstance(steps[1], str):
            yield from self._extended(layer, steps, chain)
        present, value, mark = _find(layer.canonical, steps)
        if present:
            around = next((n for n, step in enumerate(steps, 1) if isinstance(step, _Item)), 0)
            _, item, _ = _find(layer.canonical, steps[:around])
            origin = self._origin(layer, steps, mark, chain)
            yield _Found(value, origin, item if around else None)

    def _extended(
        self, layer: Layer, steps: _Steps, chain: tuple[tuple[str, str], ...]
    ) -> Iterator[_Found]:
        name = str(steps[1])
        wanted = lookup(layer.canonical, "services", name, "extends")
        here = (layer.document.file, name)
        if not isinstance(wanted, dict) or here in chain:
            return
        parent = str(wanted.get("service"))
        below: _Steps = ("services", parent, *steps[2:])
        for source in self._sources(layer, wanted.get("file")):
            for one in self._from_layer(source, below, (*chain, here)):
                service = one.origin.service or parent
                yield replace(one, origin=replace(one.origin, rule=Rule.EXTENDS, service=service))

    def _sources(self, layer: Layer, file: Value) -> Iterator[Layer]:
        """Yield the layers in which an extended service is looked for."""
        own = layer.document.file
        if isinstance(file, str):
            wanted = absolute(file, layer.place.directory, layer.place.home)
            seen: set[int] = set()
            for other in self.layers:
                if other.extended and other.document.file == wanted:
                    if id(other.document) not in seen:
                        yield other
                    seen.add(id(other.document))
            return
        for other in self.layers:
            included = not other.extended and own in other.place.chain
            if other is layer or included:
                yield other

    def _origin(
        self,
        layer: Layer,
        steps: _Steps,
        mark: Mark | None,
        chain: tuple[tuple[str, str], ...],
    ) -> Origin:
        written = self._written_in(layer).get(mark) if mark is not None else None
        outside = any(isinstance(step, str) and step in _FROM_OUTSIDE for step in steps[2:4])
        return Origin(
            rule=self._rule(layer),
            mark=mark,
            written=written if not isinstance(written, dict | list) else None,
            service=str(steps[1]) if chain else None,
            variables=tuple(self._variables(layer, written, str(steps[-1]), outside=outside)),
        )

    def _rule(self, layer: Layer) -> Rule:
        if layer.place.chain:
            return Rule.INCLUDE
        roots = (one for one in self.layers if not one.extended and not one.place.chain)
        first = next(roots, None)
        return Rule.FILE if layer is first or layer.extended else Rule.OVERRIDE

    def _written_in(self, layer: Layer) -> dict[Mark, Value]:
        known = self._written.get(id(layer.document))
        if known is None:
            known = self._written[id(layer.document)] = dict(_by_mark(layer.document.tree))
        return known

    def _variables(
        self, layer: Layer, written: Value, key: str, *, outside: bool
    ) -> Iterator[Trace]:
        def line_of(file: str, name: str) -> int | None:
            return self.env_lines(file, False).get(name)  # noqa: FBT003

        place = layer.place
        if outside and (written is None or written == key):
            yield trace_variable(key, place, self.shell, line_of)
        elif isinstance(written, str):
            yield from trace_text(written, place, self.shell, line_of)


def _without_repeats(found: list[_Found]) -> list[_Found]:
    """Leave out list items that were there already: a merge appends what is new only."""
    kept: list[_Found] = []
    for one in found:
        if one.item is None or all(one.item != other.item for other in kept):
            kept.append(one)
    return kept


def _steps(tree: Value, path: KeyPath) -> _Steps:
    result: list[str | _Item] = []
    table: PathTable[Identity] | None = IDENTITIES
    for depth, key in enumerate(path):
        identity = table.rule if table is not None else None
        identity = identity or MERGED_ITEMS.at(path[:depth])
        mark = mark_of(tree, key)
        _, tree = child(tree, key)
        result.append(key if isinstance(key, str) else _Item(tree, mark, identity))
        table = table.step(key) if table is not None else None
    return tuple(result)


def _find(tree: Value, steps: _Steps) -> tuple[bool, Value, Mark | None]:
    mark: Mark | None = None
    for step in steps:
        key = step if isinstance(step, str) else _index(tree, step)
        if key is None:
            return False, None, None
        present, below = child(tree, key)
        if not present:
            return False, None, None
        mark = mark_of(tree, key) or mark
        tree = below
    return True, tree, mark


def _index(tree: Value, wanted: _Item) -> int | None:
    """Return where a list has the same item: by what makes items the same, else by its place."""
    if wanted.identity is not None:
        name = wanted.identity(wanted.value)
        for index, (value, _) in enumerate(items(tree)):
            if wanted.identity(value) == name:
                return index
    for index, (_, mark) in enumerate(items(tree)):
        if mark is not None and mark == wanted.mark:
            return index
    return None


def _by_mark(value: Value) -> Iterator[tuple[Mark, Value]]:
    pairs = [(entry, mark) for _, entry, mark in entries(value)] or items(value)
    for entry, mark in pairs:
        if mark is not None:
            yield mark, entry
        yield from _by_mark(entry)


def names_at(tree: Value) -> list[str]:
    """Return the keys of a container as one writes them behind a dot."""
    if isinstance(tree, list):
        return [str(index) for index in range(len(tree))]
    return list(mapping(tree))
