"""Services that build on others (compose-spec 05-services.md, extends)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from orchestra.spec.findings import Findings
from orchestra.spec.keypath import KeyPath
from orchestra.spec.merge import merge, reset
from orchestra.spec.spelling import listed, shortened, suggestion
from orchestra.spec.tree import (
    Mark,
    MarkedMap,
    Value,
    entries,
    lookup,
    mapping,
    mark_of,
    size,
)
from orchestra.values import dataclass, field

_MOST_VALUES = 250_000
_EXTENDING = frozenset({"services", "jobs"})

FileReader = Callable[[str, str], "Source | None"]
"""From a path and the directory it is relative to; None when the file was not readable."""


class Source(NamedTuple):
    """The services of one file: canonical, and where its relative paths begin."""

    file: str
    directory: str
    tree: Value
    resets: tuple[KeyPath, ...] = ()


_Key = tuple[int, str, str]
_Place = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class _Step:
    """A service (or a job: ``kind``) that extends another: what it says itself."""

    kind: str
    name: str
    source: Source
    alone: MarkedMap

    @property
    def key(self) -> _Key:
        """Return what tells this service from all others."""
        return (id(self.source), self.kind, self.name)

    @property
    def here(self) -> _Place:
        """Return where the service stands."""
        return (self.source.file, self.kind, self.name)


@dataclass(slots=True)
class _Resolver:
    read: FileReader
    findings: Findings
    done: dict[_Key, Value] = field(default_factory=dict)
    spent: int = 0

    def service(self, kind: str, name: str, source: Source) -> Value:
        """Return a service with everything it extends merged in; a loop, as chains may be long."""
        trail: dict[_Place, _Step] = {}
        result = self._end(kind, name, source, trail)
        for step in reversed(trail.values()):
            if self._affordable(result, step):
                place = (step.kind, step.name)
                base = reset(result, _below(step.source.resets, place))
                result = merge(base, step.alone, self.findings, place)
            else:
                result = step.alone
            self.done[step.key] = result
        return result

    def _affordable(self, base: Value, step: _Step) -> bool:
        if self.spent > _MOST_VALUES:
            return False
        self.spent += size(base)
        if self.spent <= _MOST_VALUES:
            return True
        self.findings.add(
            f"what services extend adds up to more than {_MOST_VALUES} values",
            (step.kind, step.name),
            mark_of(lookup(step.source.tree, step.kind), step.name),
            hint="extend something smaller",
        )
        return False

    def _end(self, kind: str, name: str, source: Source, trail: dict[_Place, _Step]) -> Value:
        """Return what the last service of a chain says; those before it go to ``trail``."""
        while True:
            if (id(source), kind, name) in self.done:
                return self.done[id(source), kind, name]
            service = lookup(source.tree, kind, name)
            wanted = lookup(service, "extends")
            if not isinstance(service, dict) or not isinstance(wanted, dict):
                return service
            step = _Step(kind, name, source, _without_extends(service))
            following = self._following(wanted, step, mark_of(service, "extends"), trail)
            if following is None:
                return step.alone
            trail[step.here] = step
            kind, name, source = following

    def _following(
        self, wanted: dict[str, Value], step: _Step, mark: Mark | None, trail: dict[_Place, _Step]
    ) -> tuple[str, str, Source] | None:
        path: KeyPath = (step.kind, step.name, "extends")
        if step.here in trail:
            known = list(trail)
            circle = [*known[known.index(step.here) :], step.here]
            steps = " -> ".join(shortened(who, 40) for _, _, who in circle[:12])
            message = f"services extend each other in a circle: {steps}"
            self.findings.add(message, path, mark, hint="break it")
            return None
        source = step.source
        origin = self._origin(wanted, source, path)
        if origin is None:
            return None
        parent = str(wanted.get("service"))
        kind = step.kind if origin is source else "services"
        services = mapping(lookup(origin.tree, kind))
        if parent in services:
            return kind, parent, origin
        where = "in this file" if origin is source else f'in "{origin.file}"'
        hint = suggestion(parent, services) or f"services there: {listed(services)}"
        message = f'cannot extend service "{shortened(parent)}": there is none {where}'
        self.findings.add(message, path, mark, hint=hint)
        return None

    def _origin(self, wanted: dict[str, Value], source: Source, path: KeyPath) -> Source | None:
        file = wanted.get("file")
        if file is None:
            return source
        before = len(self.findings.errors)
        origin = self.read(str(file), source.directory)
        if len(self.findings.errors) > before and origin is None:
            return None
        if origin is None:
            self.findings.add(
                f'cannot read "{shortened(str(file))}"', (*path, "file"), mark_of(wanted, "file"),
                hint=f'the path is relative to "{shortened(source.directory)}"',
            )  # fmt: skip
        return origin


def _without_extends(service: dict[str, Value]) -> MarkedMap:
    result = MarkedMap()
    for key, value, mark in entries(service):
        if key != "extends":
            result.put(key, value, mark)
    return result


def _below(resets: tuple[KeyPath, ...], place: KeyPath) -> list[KeyPath]:
    return [path[2:] for path in resets if path[:2] == place]


def resolve_extends(source: Source, read: FileReader, findings: Findings) -> Value:
    """Return the file's tree with every ``extends`` resolved; errors are noted."""
    if not isinstance(source.tree, dict):
        return source.tree
    resolver = _Resolver(read, findings)
    result = MarkedMap()
    for kind, value, mark in entries(source.tree):
        if kind in _EXTENDING and isinstance(value, dict):
            grown = MarkedMap()
            for name, _, at in entries(value):
                grown.put(name, resolver.service(kind, name, source), at)
            result.put(kind, grown, mark)
        else:
            result.put(kind, value, mark)
    return result
