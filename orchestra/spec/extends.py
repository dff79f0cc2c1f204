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
    done: dict[tuple[int, str], Value] = field(default_factory=dict)
    circles: int = 0

    def service(self, name: str, source: Source, chain: tuple[tuple[str, str], ...]) -> Value:
        """Return a service with everything it extends merged in, made once unless in a circle."""
        key = (id(source), name)  # every source stays in ``sources`` meanwhile, or is the caller's
        if key not in self.done:
            circles = self.circles
            value = self._service(name, source, chain)
            if self.circles != circles:
                return value
            self.done[key] = value
        return self.done[key]

    def _service(self, name: str, source: Source, chain: tuple[tuple[str, str], ...]) -> Value:
        service = lookup(source.tree, "services", name)
        wanted = lookup(service, "extends")
        if not isinstance(service, dict) or not isinstance(wanted, dict):
            return service
        here = (source.file, name)
        path: KeyPath = ("services", name, "extends")
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
        known = mapping(lookup(origin.tree, "services"))
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
        base = reset(self.service(parent, origin, (*chain, here)), _below(source.resets, name))
        return merge(base, alone, self.findings, ("services", name))

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


def _below(resets: tuple[KeyPath, ...], name: str) -> list[KeyPath]:
    prefix: KeyPath = ("services", name)
    return [path[2:] for path in resets if path[:2] == prefix]


def resolve_extends(source: Source, read: FileReader, findings: Findings) -> Value:
    """Return the file's tree with every ``extends`` resolved; errors are noted."""
    services = lookup(source.tree, "services")
    if not isinstance(source.tree, dict) or not isinstance(services, dict):
        return source.tree
    resolver = _Resolver(read, findings)
    grown = MarkedMap()
    for name, _, mark in entries(services):
        grown.put(name, resolver.service(name, source, ()), mark)
    result = MarkedMap()
    for key, value, mark in entries(source.tree):
        result.put(key, grown if key == "services" else value, mark)
    return result
