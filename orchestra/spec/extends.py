"""Services that build on others (compose-spec 05-services.md, extends)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from orchestra.spec.findings import Findings
from orchestra.spec.keypath import KeyPath
from orchestra.spec.merge import merge, reset
from orchestra.spec.tree import (
    MarkedMap,
    Value,
    entries,
    lookup,
    mapping,
    mark_of,
)

FileReader = Callable[[str, str], "Source | None"]
"""From a path and the directory it is relative to; None when the file was not readable."""


class Source(NamedTuple):
    """The services of one file: canonical, and where its relative paths begin."""

    file: str
    directory: str
    tree: Value
    resets: tuple[KeyPath, ...] = ()


@dataclass(slots=True)
class _Resolver:
    read: FileReader
    findings: Findings
    told: set[tuple[str, str]] = field(default_factory=set)
    sources: dict[tuple[str, str], Source] = field(default_factory=dict)
    done: dict[tuple[int, str, str], Value] = field(default_factory=dict)
    circles: int = 0

    def service(
        self, kind: str, name: str, source: Source, chain: tuple[tuple[str, str], ...]
    ) -> Value:
        """Return a service or a job with all it extends merged in, made once unless in a circle."""
        # every source stays in ``sources`` meanwhile, or is the caller's
        key = (id(source), kind, name)
        if key not in self.done:
            circles = self.circles
            value = self._service(kind, name, source, chain)
            if self.circles != circles:
                return value
            self.done[key] = value
        return self.done[key]

    def _service(
        self, kind: str, name: str, source: Source, chain: tuple[tuple[str, str], ...]
    ) -> Value:
        service = lookup(source.tree, kind, name)
        wanted = lookup(service, "extends")
        if not isinstance(service, dict) or not isinstance(wanted, dict):
            return service
        here = (source.file, name)
        path: KeyPath = (kind, name, "extends")
        mark = mark_of(service, "extends")
        alone = _without_extends(service)
        if here in chain:
            self.circles += 1
            circle = chain[chain.index(here) :]
            if self.told.isdisjoint(circle):
                steps = " -> ".join(who for _, who in (*circle, here))
                message = f"services extend each other in a circle: {steps}"
                self.findings.add(message, path, mark, hint="break it")
            self.told.update(circle)
            return alone
        origin = self._origin(wanted, source, path)
        if origin is None:
            return alone
        parent = str(wanted.get("service"))
        below = kind if origin is source else "services"
        known = mapping(lookup(origin.tree, below))
        if parent not in known:
            where = "in this file" if origin is source else f'in "{origin.file}"'
            names = ", ".join(sorted(known)) or "none"
            self.findings.add(
                f'cannot extend service "{parent}": there is none {where}',
                path,
                mark,
                hint=f"services there: {names}",
            )
            return alone
        base = self.service(below, parent, origin, (*chain, here))
        base = reset(base, _below(source.resets, (kind, name)))
        return merge(base, alone, self.findings, (kind, name))

    def _origin(self, wanted: dict[str, Value], source: Source, path: KeyPath) -> Source | None:
        file = wanted.get("file")
        if file is None:
            return source
        before = len(self.findings.errors)
        place = (str(file), source.directory)
        origin = self.sources.get(place) or self.read(*place)
        if origin is not None:
            self.sources[place] = origin
        if len(self.findings.errors) > before and origin is None:
            return None
        if origin is None:
            self.findings.add(
                f'cannot read "{file}"', (*path, "file"), mark_of(wanted, "file"),
                hint=f'the path is relative to "{source.directory}"',
            )  # fmt: skip
        return origin


def _without_extends(service: dict[str, Value]) -> MarkedMap:
    result = MarkedMap()
    for key, value, mark in entries(service):
        if key != "extends":
            result.put(key, value, mark)
    return result


def _below(resets: tuple[KeyPath, ...], prefix: KeyPath) -> list[KeyPath]:
    return [path[2:] for path in resets if path[:2] == prefix]


def resolve_extends(source: Source, read: FileReader, findings: Findings) -> Value:
    """Return the file's tree with every ``extends`` resolved; errors are noted."""
    if not isinstance(source.tree, dict):
        return source.tree
    resolver = _Resolver(read, findings)
    result = MarkedMap()
    for key, value, mark in entries(source.tree):
        if key in {"services", "jobs"} and isinstance(value, dict):
            grown = MarkedMap()
            for name, _, at in entries(value):
                grown.put(name, resolver.service(key, name, source, ()), at)
            result.put(key, grown, mark)
        else:
            result.put(key, value, mark)
    return result
