"""The planner's laws over random projects and worlds, with a model of the engine as the judge."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.simulate import LIVE, PortTaken, simulate
from support.worlds import PROJECT, cases, down_options, empty, places, projects

from orchestra.errors import PlanError
from orchestra.planner.desired import DesiredState
from orchestra.planner.observed import ObservedState, Phase
from orchestra.planner.options import DownOptions, Recreate, RemoveOptions, StopOptions, UpOptions
from orchestra.planner.plan import Plan
from orchestra.planner.reconcile import plan_images, plan_up
from orchestra.planner.steps import (
    CreateContainer,
    RemoveContainer,
    RemoveVolume,
    StartContainer,
    Step,
    StopContainer,
)
from orchestra.planner.teardown import plan_down, plan_restart, plan_rm, plan_start, plan_stop

law = settings(max_examples=120, deadline=None)


def up(desired: DesiredState, observed: ObservedState, options: UpOptions) -> Plan[Step]:
    """Plan, or give the example up where there is no plan."""
    try:
        return plan_up(desired, observed, options)
    except PlanError:
        assume(condition=False)
        raise


@law
@given(cases())
def test_after_up_there_is_nothing_to_do(case):
    desired, observed, options = case
    plan = up(desired, observed, options)
    try:
        after = simulate(observed, plan, desired)
    except PortTaken:
        assume(condition=False)
        raise
    calm = replace(
        options,
        recreate=Recreate.NEVER if options.recreate is Recreate.NEVER else Recreate.DIVERGED,
        always_recreate_deps=False,
        renew_anon_volumes=False,
    )
    assert str(plan_up(desired, after, calm)) == ""


@law
@given(cases(), st.randoms(use_true_random=False))
def test_the_same_world_makes_the_same_text(case, shuffler: random.Random):
    desired, observed, options = case
    plan = up(desired, observed, options)
    shuffled = replace(
        observed,
        containers=tuple(shuffler.sample(observed.containers, len(observed.containers))),
        networks=tuple(shuffler.sample(observed.networks, len(observed.networks))),
        volumes=tuple(shuffler.sample(observed.volumes, len(observed.volumes))),
    )
    turned = replace(
        desired, containers=tuple(shuffler.sample(desired.containers, len(desired.containers)))
    )
    assert str(plan_up(turned, shuffled, options)) == str(plan)


@law
@given(cases())
def test_no_step_precedes_what_it_comes_after(case):
    seen = set()
    for step in up(*case).steps:
        assert set(step.after) <= seen
        seen.add(step.id)


@law
@given(cases())
def test_every_step_has_one_reason_on_one_line(case):
    for step in up(*case).steps:
        assert step.reason
        assert "\n" not in step.reason


@law
@given(cases())
def test_dependents_stop_before_what_they_need(case):
    desired, observed, options = case
    plan = up(desired, observed, options)
    places_ = {step.id: index for index, step in enumerate(plan.steps)}
    needs = {c.service: {d.service for d in c.depends_on} for c in desired.containers}
    stops = [step for step in plan.steps if isinstance(step, StopContainer)]
    for dependent in stops:
        for needed in stops:
            if needed.service in needs.get(dependent.service, ()):
                assert places_[dependent.id] < places_[needed.id]


@law
@given(cases())
def test_volumes_go_only_when_their_definition_changed(case):
    desired, observed, options = case
    hashes = {volume.name: volume.config_hash for volume in desired.volumes}
    for step in up(desired, observed, options).steps:
        if isinstance(step, RemoveVolume):
            assert not options.keep_volumes
            (there,) = [v for v in observed.volumes if v.name == step.name]
            assert there.config_hash != hashes[step.name]


@law
@given(cases())
def test_strangers_are_touched_with_remove_orphans_only(case):
    desired, observed, options = case
    by_id = {container.id: container for container in observed.containers}
    for step in up(desired, observed, options).steps:
        if isinstance(step, StopContainer | RemoveContainer):
            touched = by_id[step.container_id]
            stranger = touched.one_off or touched.service not in desired.services
            assert options.remove_orphans or not stranger
            assert not (touched.one_off and touched.phase in LIVE)


@law
@given(cases())
def test_never_recreates_nothing(case):
    desired, observed, options = case
    plan = up(desired, observed, replace(options, recreate=Recreate.NEVER, scale={}))
    assert not [s for s in plan.steps if isinstance(s, CreateContainer) and s.inherit]


@law
@given(cases())
def test_no_start_starts_nothing(case):
    desired, observed, options = case
    plan = up(desired, observed, replace(options, no_start=True))
    assert not [step for step in plan.steps if isinstance(step, StartContainer)]


@law
@given(cases())
def test_images_are_settled_by_one_round(case):
    desired, observed, options = case
    options = replace(options, build=True, scale={})
    first = plan_images(desired, observed, options)
    after = simulate(observed, first, desired)
    again = plan_images(desired, after, replace(options, build=False))
    assert not [step for step in again.steps if "changed" in step.reason]


@law
@given(places(), down_options())
def test_down_leaves_nothing(case, options):
    desired, observed = case
    after = simulate(observed, plan_down(observed, options), desired)
    assert not after.containers
    assert not [network for network in after.networks if network.project == PROJECT]
    assert not options.volumes or not [v for v in after.volumes if v.project == PROJECT]
    assert options.volumes or len(after.volumes) == len(observed.volumes)


@law
@given(places(), down_options())
def test_down_with_files_leaves_strangers_alone(case, options):
    desired, observed = case
    after = simulate(observed, plan_down(observed, options, desired), desired)
    left = {container.service for container in after.containers}
    assert not left & set(desired.services)
    assert not (options.remove_orphans and left)


@law
@given(places(), st.sampled_from("abcd"))
def test_down_of_one_service_keeps_what_it_does_not_concern(case, service):
    desired, observed = case
    after = simulate(observed, plan_down(observed, DownOptions(services=(service,))), desired)
    kept = {c.id for c in after.containers}
    for container in observed.containers:
        if container.service == service and not container.one_off:
            assert container.id not in kept


@law
@given(projects())
def test_stop_order_reverses_start_order(desired):
    options = UpOptions()
    world = simulate(empty(), up(desired, empty(), options), desired)
    stops = [
        s.service for s in plan_down(world, DownOptions()).steps if isinstance(s, StopContainer)
    ]
    for spec in desired.containers:
        for dependency in spec.depends_on:
            if dependency.service in stops:
                last_dependent = max(i for i, s in enumerate(stops) if s == spec.service)
                assert last_dependent < stops.index(dependency.service)


def without_ports(observed: ObservedState) -> ObservedState:
    """Take away the ports, which chance gives to two running containers at once."""
    containers = tuple(replace(container, ports=()) for container in observed.containers)
    return replace(observed, containers=containers)


@law
@given(places())
def test_stop_then_start(case):
    observed = without_ports(case[1])
    stopped = simulate(observed, plan_stop(observed, StopOptions()))
    assert not [c for c in stopped.containers if c.phase in LIVE and not c.one_off]
    assert plan_stop(stopped, StopOptions()).empty
    started = simulate(stopped, plan_start(stopped, StopOptions()))
    assert plan_start(started, StopOptions()).empty


@law
@given(places())
def test_restart_leaves_everything_running(case):
    observed = without_ports(case[1])
    after = simulate(observed, plan_restart(observed, StopOptions()))
    newest = {}
    for container in sorted(after.containers, key=lambda c: (c.created_at, c.id)):
        newest[container.name] = container
    assert all(c.phase is Phase.RUNNING for c in newest.values() if not c.one_off)


@law
@given(places(), st.booleans())
def test_rm_removes_what_does_not_run(case, stop):
    _, observed = case
    after = simulate(observed, plan_rm(observed, RemoveOptions(stop=stop)))
    left = [c for c in after.containers if not c.one_off]
    assert all(c.phase in LIVE for c in left)
    assert not (stop and left)


@law
@given(cases())
def test_the_graph_is_a_dag_in_plan_order(case):
    nx = pytest.importorskip("networkx")
    plan = up(*case)
    graph = plan.graph()
    assert nx.is_directed_acyclic_graph(graph)
    assert list(graph.nodes) == [step.id for step in plan.steps]
    assert list(nx.lexicographical_topological_sort(graph)) == list(graph.nodes)
