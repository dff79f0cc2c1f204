"""Plan and dependency graph: what is refused, what order comes out, what data."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
from support.worlds import container, empty, project, running, volume

from orchestra.errors import BugError, PlanError
from orchestra.planner.desired import Condition, Dependency
from orchestra.planner.graph import service_graph
from orchestra.planner.options import UpOptions
from orchestra.planner.plan import Plan
from orchestra.planner.reconcile import plan_up
from orchestra.planner.steps import Gate, RemoveVolume, StartContainer, StepId, StopContainer


def start(name, *after, gates=()):
    return StartContainer(
        name=name,
        service=name,
        reason="why",
        after=tuple(StepId(f"start container:{other}") for other in after),
        gates=gates,
    )


def test_steps_come_in_lexicographic_topological_order():
    plan = Plan.of([start("a", "z"), start("c"), start("z"), start("b", "c")])
    assert [step.name for step in plan.steps] == ["c", "b", "z", "a"]


def test_a_gate_orders_behind_the_start_that_opens_it():
    gate = Gate(service="z", condition=Condition.HEALTHY)
    plan = Plan.of([start("a", gates=(gate,)), start("z")])
    assert str(plan) == "start container:z  # why\nstart container:a  # why; when z:healthy"


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([start("a"), start("a")], 'two steps of one plan are called "start container:a"'),
        ([start("a", "b")], 'comes after "start container:b", which is not there'),
        ([start("a", "b"), start("b", "a")], "wait for each other"),
        (
            [
                start("a", "b"),
                start("b", gates=(Gate(service="a", condition=Condition.STARTED),)),
            ],
            "wait for each other",
        ),
    ],
    ids=["duplicate", "unknown", "cycle", "cycle through a gate"],
)
def test_what_is_no_plan(steps, message):
    with pytest.raises(BugError, match=message):
        Plan.of(steps)


def test_json_says_what_the_text_says():
    gate = Gate(service="a", condition=Condition.COMPLETED, required=False)
    plan = Plan.of([start("a"), start("b", "a", gates=(gate,))])
    assert plan.to_json()["steps"][1] == {
        "id": "start container:b",
        "action": "start",
        "kind": "container",
        "name": "b",
        "reason": "why",
        "after": ["start container:a"],
        "gates": [
            {"service": "a", "condition": "service_completed_successfully", "required": False}
        ],
    }


def test_only_removing_a_volume_destroys_data():
    stop = StopContainer(container_id="1", name="a", service="a", reason="why")
    assert not Plan.of([stop]).destroys_data
    assert Plan.of([stop, RemoveVolume(key="v", name="p_v", reason="why")]).destroys_data


def test_an_empty_plan():
    plan = Plan.of(())
    assert plan.empty
    assert str(plan) == ""


def test_networkx_is_not_imported_by_planning():
    code = (
        "import sys, orchestra.planner.reconcile, orchestra.planner.teardown; "
        "sys.exit('networkx' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def needs(*names, **fields):
    return tuple(Dependency(service=name, **fields) for name in names)


def test_a_cycle_is_told_by_its_names():
    desired = project(
        container("web", depends_on=needs("db")),
        container("db", depends_on=needs("cache")),
        container("cache", depends_on=needs("web")),
    )
    with pytest.raises(PlanError, match="cache -> web -> db -> cache"):
        plan_up(desired, empty(), UpOptions())


def test_orders_and_subsets():
    graph = service_graph(
        {"a": needs("b", "c"), "b": needs("d"), "c": (), "d": (), "e": needs("x")}
    )
    assert graph.start_order() == ("c", "d", "b", "a", "e")
    assert graph.with_dependencies(["b"]) == {"b", "d"}
    assert graph.with_dependents(["d"]) == {"a", "b", "d"}
    assert graph.nearest_dependents("d", frozenset("ac")) == {"a"}


def test_cycles_of_old_records_are_cut():
    graph = service_graph({"a": needs("b"), "b": needs("a")})
    assert graph.without_cycles().start_order() == ("b", "a")


WEB = container("web")
DATA = project(replace(WEB), volumes=(volume("data"),))


@pytest.mark.parametrize(
    ("desired", "observed", "options", "message"),
    [
        (DATA, empty(), UpOptions(services=("nope",)), "no such service"),
        (DATA, empty(), UpOptions(scale={"nope": 1}), 'cannot scale service "nope"'),
        (
            project(container("web", name="mine")),
            empty(),
            UpOptions(scale={"web": 2}),
            "container_name",
        ),
        (
            replace(DATA, networks=(replace(DATA.networks[0], external=True),)),
            empty(),
            UpOptions(),
            'network "shop_default" is declared as external, but is not there',
        ),
    ],
    ids=["service", "scale", "name", "external network"],
)
def test_what_cannot_be_planned(desired, observed, options, message):
    with pytest.raises(PlanError, match=message):
        plan_up(desired, observed, options)


def test_a_container_that_stays_keeps_its_network():
    other = container("other")
    world = running(project(WEB, other))
    changed = replace(DATA, networks=(replace(DATA.networks[0], config_hash="new"),))
    with pytest.raises(PlanError, match='container "shop-other-1" uses it'):
        plan_up(changed, world, UpOptions())
