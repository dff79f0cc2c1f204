"""Gates are judged off snapshots; events are only the occasion to look."""

from datetime import UTC, datetime

import anyio
import pytest

from orchestra.engine.gates import GateKeeper, judge
from orchestra.errors import GateError
from orchestra.planner.desired import Condition, RestartMode, RestartPolicy
from orchestra.planner.observed import Health, ObservedContainer, ObservedState, Phase
from orchestra.planner.steps import Gate

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WAITING = None
OPEN = ""


def container(service="db", number=1, **fields):
    return ObservedContainer(
        **{
            "id": f"{service}{number}",
            "name": f"shop-{service}-{number}",
            "service": service,
            "number": number,
            "image": "i",
            "image_id": "sha256:0",
            "config_hash": "h",
            "phase": Phase.RUNNING,
            "created_at": NOW,
            **fields,
        }
    )


def world(*containers):
    return ObservedState(project="shop", taken_at=NOW, containers=containers)


ALWAYS = RestartPolicy(mode=RestartMode.ALWAYS)
TWICE = RestartPolicy(mode=RestartMode.ON_FAILURE, max_retries=2)


@pytest.mark.parametrize(
    ("condition", "fields", "verdict"),
    [
        (Condition.STARTED, {}, OPEN),
        (Condition.STARTED, {"phase": Phase.CREATED}, WAITING),
        (Condition.STARTED, {"phase": Phase.EXITED, "exit_code": 0}, OPEN),
        (Condition.HEALTHY, {"health": Health.HEALTHY}, OPEN),
        (Condition.HEALTHY, {"health": Health.STARTING}, WAITING),
        (Condition.HEALTHY, {"health": Health.UNHEALTHY}, "unhealthy"),
        (Condition.HEALTHY, {"health": Health.NONE}, "no healthcheck"),
        (Condition.HEALTHY, {"phase": Phase.EXITED, "exit_code": 3}, "exited with code 3"),
        (Condition.HEALTHY, {"phase": Phase.EXITED, "exit_code": 3, "restart": ALWAYS}, WAITING),
        (
            Condition.HEALTHY,
            {"phase": Phase.EXITED, "exit_code": 3, "restart": ALWAYS, "stopped_by_user": True},
            "exited with code 3",
        ),
        (
            Condition.HEALTHY,
            {"phase": Phase.EXITED, "exit_code": 3, "restart": TWICE, "restarts": 2},
            "exited with code 3",
        ),
        (Condition.COMPLETED, {}, WAITING),
        (Condition.COMPLETED, {"phase": Phase.EXITED, "exit_code": 0}, OPEN),
        (Condition.COMPLETED, {"phase": Phase.EXITED, "exit_code": 1}, "exited with code 1"),
        (Condition.COMPLETED, {"phase": Phase.EXITED, "exit_code": 1, "restart": TWICE}, WAITING),
    ],
)
def test_a_gate_is_judged_by_what_its_container_is(condition, fields, verdict):
    found = judge(Gate(service="db", condition=condition), world(container(**fields)), frozenset())
    if verdict is WAITING or verdict == OPEN:
        assert found == verdict
    else:
        assert verdict in found


def test_every_replica_must_meet_the_condition():
    gate = Gate(service="db", condition=Condition.HEALTHY)
    both = world(container(health=Health.HEALTHY), container(number=2, health=Health.STARTING))
    assert judge(gate, both, frozenset()) is WAITING


def test_a_container_that_this_plan_still_starts_is_not_judged_by_its_past():
    gate = Gate(service="db", condition=Condition.COMPLETED)
    past = world(container(phase=Phase.EXITED, exit_code=0))
    assert judge(gate, past, frozenset({"db"})) is WAITING


def test_a_service_whose_container_is_not_even_made_yet_is_waited_for():
    gate = Gate(service="db", condition=Condition.STARTED)
    assert judge(gate, world(), frozenset({"db"})) is WAITING
    assert "no container" in judge(gate, world(), frozenset())


@pytest.mark.anyio
async def test_a_gate_opens_when_a_look_finds_it_open():
    state = world(container(health=Health.STARTING))

    async def observe():
        return state

    keeper = GateKeeper(observe, ())
    opened = anyio.Event()

    async def wait():
        await keeper.wait(Gate(service="db", condition=Condition.HEALTHY))
        opened.set()

    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keeper.run)
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            assert not opened.is_set()
            state = world(container(health=Health.HEALTHY))
            keeper.look()
            await opened.wait()
            tasks.cancel_scope.cancel()


@pytest.mark.anyio
async def test_a_gate_that_cannot_open_raises_and_names_the_container():
    async def observe():
        return world(container(health=Health.UNHEALTHY))

    keeper = GateKeeper(observe, ())
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keeper.run)
            with pytest.raises(GateError, match=r"shop-db-1.* is unhealthy"):
                await keeper.wait(Gate(service="db", condition=Condition.HEALTHY))
            tasks.cancel_scope.cancel()
