"""The dependency graph of services: cycles by name, subsets, layers, start and stop order.

Knows nothing of steps. The compiler has put what links, shared namespaces and volumes_from imply
into ``depends_on``, so that one kind of edge is enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from graphlib import CycleError, TopologicalSorter
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from orchestra.errors import PlanError
from orchestra.planner.desired import Dependency
from orchestra.values import dataclass

if TYPE_CHECKING:
    pass

Edges = Mapping[str, frozenset[str]]
_AnyEdges = Mapping[str, AbstractSet[str]]


@dataclass(frozen=True, slots=True)
class ServiceGraph:
    """Services and what each needs first. Made by :func:`service_graph`."""

    needs: Edges

    @property
    def services(self) -> tuple[str, ...]:
        """Return every service, sorted."""
        return tuple(sorted(self.needs))

    def start_order(self) -> tuple[str, ...]:
        """Return the services, each after everything it needs, else by name.

        :raises PlanError: when services need each other.
        """
        sorter = TopologicalSorter({name: sorted(self.needs[name]) for name in self.services})
        try:
            sorter.prepare()
        except CycleError as err:
            cycle = _readable(err.args[1])
            raise PlanError(
                f"services depend on each other: {cycle}",
                hint="take one of them out of depends_on, links, network_mode or volumes_from",
            ) from err
        ready = list(sorter.get_ready())
        heapify(ready)
        order: list[str] = []
        while ready:
            name = heappop(ready)
            order.append(name)
            sorter.done(name)
            for following in sorter.get_ready():
                heappush(ready, following)
        return tuple(order)

    def dependents(self) -> Edges:
        """Return, for every service, who needs it directly."""
        found: dict[str, set[str]] = {name: set() for name in self.needs}
        for name, needs in self.needs.items():
            for needed in needs:
                found[needed].add(name)
        return {name: frozenset(names) for name, names in found.items()}

    def with_dependencies(self, chosen: Iterable[str]) -> frozenset[str]:
        """Return the chosen services and everything they need, directly or not."""
        return _closure(self.needs, chosen)

    def with_dependents(self, chosen: Iterable[str]) -> frozenset[str]:
        """Return the chosen services and everything that needs them, directly or not."""
        return _closure(self.dependents(), chosen)

    def nearest_dependents(self, service: str, present: frozenset[str]) -> frozenset[str]:
        """Return who of ``present`` needs a service, directly or through others not in it."""
        return _nearest(self.dependents(), service, present)

    def without_cycles(self) -> ServiceGraph:
        """Return the graph without the edges that close a cycle.

        Records of several generations may contradict each other; an order is needed all the same.
        """
        kept: dict[str, set[str]] = {name: set() for name in self.needs}
        for name in self.services:
            for need in sorted(self.needs[name]):
                if name not in _closure(kept, (need,)):
                    kept[name].add(need)
        return ServiceGraph({name: frozenset(needs) for name, needs in kept.items()})


def service_graph(dependencies: Mapping[str, Iterable[Dependency]]) -> ServiceGraph:
    """Make the graph of the given services; what depends_on names beyond them is left out."""
    return ServiceGraph(
        {
            name: frozenset(d.service for d in needs if d.service in dependencies)
            for name, needs in dependencies.items()
        }
    )


def _nearest(edges: Edges, start: str, present: frozenset[str]) -> frozenset[str]:
    found: set[str] = set()
    seen: set[str] = set()
    waiting = sorted(edges.get(start, ()))
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in present:
            found.add(name)
        else:
            waiting.extend(edges[name])
    return frozenset(found)


def _closure(edges: _AnyEdges, chosen: Iterable[str]) -> frozenset[str]:
    found: set[str] = set()
    waiting = [name for name in chosen if name in edges]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(edges[name])
    return frozenset(found)


def _readable(cycle: list[str]) -> str:
    """Render a cycle "a -> b -> a" (a needs b), beginning with its smallest name.

    graphlib lists it the other way round, its first name repeated at the end.
    """
    names = cycle[:0:-1]
    start = names.index(min(names))
    turned = names[start:] + names[:start]
    return " -> ".join((*turned, turned[0]))
