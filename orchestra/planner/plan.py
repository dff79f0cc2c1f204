"""A plan: steps that form a checked, acyclic graph, in one order that never varies.

Generic in the step type, so that another target brings its own steps. networkx is imported only
where a consumer asks for the graph as such: its import costs more than most commands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from orchestra.errors import BugError
from orchestra.planner.steps import Gate, RemoveVolume, StartContainer, StepId
from orchestra.values import TypedDict, dataclass

if TYPE_CHECKING:
    import networkx as nx

JSON_VERSION = 1


class PlanStep(Protocol):
    """What a plan needs to know of a step."""

    @property
    def id(self) -> StepId:
        """Return the step's name, unique within its plan."""
        ...

    @property
    def reason(self) -> str:
        """Return why the step is taken."""
        ...

    @property
    def after(self) -> tuple[StepId, ...]:
        """Return the steps that must be done first."""
        ...

    @property
    def gates(self) -> tuple[Gate, ...]:
        """Return what is waited for after those."""
        ...


S_co = TypeVar("S_co", bound=PlanStep, covariant=True)
T = TypeVar("T", bound=PlanStep)


class GateJson(TypedDict):
    """A gate, as `orchestra plan --format json` shows it."""

    service: str
    condition: str
    required: bool


class StepJson(TypedDict):
    """A step, as `orchestra plan --format json` shows it; ``id`` is "ACTION KIND:NAME"."""

    id: str
    action: str
    kind: str
    name: str
    reason: str
    after: list[str]
    gates: list[GateJson]


class PlanJson(TypedDict):
    """A plan, as `orchestra plan --format json` shows it; steps stand in an order that works."""

    version: int
    empty: bool
    destroys_data: bool
    steps: list[StepJson]


@dataclass(frozen=True, slots=True)
class Plan(Generic[S_co]):
    """Steps in lexicographic topological order. Made by :meth:`of`, which checks them."""

    steps: tuple[S_co, ...] = ()

    @classmethod
    def of(cls, steps: Iterable[T]) -> Plan[T]:
        """Make a plan of steps given in any order.

        A gate orders its step behind the steps of this plan that start the gate's service: it
        could not open before them.

        :raises BugError: when two steps share an id, or one comes after a step that is not there,
            or they wait for each other.
        """
        by_id: dict[StepId, T] = {}
        for step in steps:
            if step.id in by_id:
                raise BugError(f'two steps of one plan are called "{step.id}"')
            by_id[step.id] = step
        for step in by_id.values():
            for before in step.after:
                if before not in by_id:
                    raise BugError(f'step "{step.id}" comes after "{before}", which is not there')
        return Plan(tuple(by_id[name] for name in _order(by_id)))

    @property
    def empty(self) -> bool:
        """Tell whether there is nothing to do."""
        return not self.steps

    @property
    def ids(self) -> frozenset[StepId]:
        """Return the names of all steps."""
        return frozenset(step.id for step in self.steps)

    @property
    def destroys_data(self) -> bool:
        """Tell whether a named volume is removed."""
        return any(isinstance(step, RemoveVolume) for step in self.steps)

    def __str__(self) -> str:
        """Render one line per step: id, reason, edges, gates."""
        return "\n".join(map(_line, self.steps))

    def to_json(self) -> PlanJson:
        """Return the plan as data for a JSON document."""
        return PlanJson(
            version=JSON_VERSION,
            empty=self.empty,
            destroys_data=self.destroys_data,
            steps=[_json(step) for step in self.steps],
        )

    def graph(self) -> nx.DiGraph[StepId]:
        """Return the plan as a networkx DAG.

        Nodes are ids with the attribute ``step``; an edge leads from a step to those after it,
        with the attribute ``gate`` telling whether only a gate orders them.
        """
        import networkx as nx  # noqa: PLC0415 (slow to import)

        graph: nx.DiGraph[StepId] = nx.DiGraph()
        for step in self.steps:
            graph.add_node(step.id, step=step)
        for name, before in _gate_edges(self.steps):
            graph.add_edge(before, name, gate=True)
        for step in self.steps:
            for before in step.after:
                graph.add_edge(before, step.id, gate=False)
        return graph


def _gate_edges(steps: Iterable[PlanStep]) -> Iterator[tuple[StepId, StepId]]:
    """Yield (step, starting step) for every gate that a start of this plan opens."""
    all_steps = tuple(steps)
    starts: dict[str, list[StepId]] = defaultdict(list)
    for step in all_steps:
        if isinstance(step, StartContainer):
            starts[step.service].append(step.id)
    for step in all_steps:
        for gate in step.gates:
            for start in starts.get(gate.service, ()):
                if start != step.id:
                    yield step.id, start


def _order(by_id: Mapping[StepId, PlanStep]) -> list[StepId]:
    before = {name: set(by_id[name].after) for name in sorted(by_id)}
    for name, start in _gate_edges(by_id.values()):
        before[name].add(start)
    sorter = TopologicalSorter({name: sorted(names) for name, names in before.items()})
    try:
        sorter.prepare()
    except CycleError as err:
        raise BugError(f"steps wait for each other: {' -> '.join(err.args[1])}") from err
    ready = list(sorter.get_ready())
    heapify(ready)
    order: list[StepId] = []
    while ready:
        name = heappop(ready)
        order.append(name)
        sorter.done(name)
        for following in sorter.get_ready():
            heappush(ready, following)
    return order


def _line(step: PlanStep) -> str:
    text = f"{step.id}  # {step.reason}"
    if step.after:
        text += f"; after {', '.join(sorted(set(step.after)))}"
    if step.gates:
        text += f"; when {', '.join(map(str, sorted(set(step.gates))))}"
    return text


def _json(step: PlanStep) -> StepJson:
    what, _, name = step.id.partition(":")
    action, _, kind = what.partition(" ")
    return StepJson(
        id=step.id,
        action=action,
        kind=kind,
        name=name,
        reason=step.reason,
        after=[str(before) for before in sorted(set(step.after))],
        gates=[
            GateJson(service=gate.service, condition=str(gate.condition), required=gate.required)
            for gate in sorted(set(step.gates))
        ],
    )
