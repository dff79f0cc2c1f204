"""create, scale, wait and volumes."""

from __future__ import annotations

import json

from support.scenario import Scenario


def states(scenario: Scenario) -> dict[str, str]:
    return {
        each.name.removeprefix(f"{scenario.project}-"): each.state for each in scenario.containers()
    }


def identity(scenario: Scenario, name: str) -> str:
    """Return the beginning of a container's id."""
    return {each.name: each.id for each in scenario.containers()}[f"{scenario.project}-{name}"]


def test_create_makes_everything_and_starts_nothing(scenario: Scenario) -> None:
    scenario.run("create")
    assert states(scenario) == {"web-1": "created", "db-1": "created"}
    first = identity(scenario, "web-1")
    scenario.run("create")
    assert identity(scenario, "web-1") == first
    scenario.run("create", "--force-recreate", "--scale", "web=2", "web")
    assert states(scenario) == {"web-1": "created", "web-2": "created", "db-1": "created"}
    assert identity(scenario, "web-1") != first
    scenario.run("create", "--force-recreate", "--no-recreate", code=None)
    scenario.run("start")
    assert states(scenario) == {"web-1": "running", "web-2": "running", "db-1": "running"}


def test_scale_changes_the_named_services_alone(scenario: Scenario) -> None:
    scenario.up()
    db = identity(scenario, "db-1")
    scenario.run("scale", "web=3")
    assert states(scenario) == {f"web-{n}": "running" for n in (1, 2, 3)} | {"db-1": "running"}
    scenario.run("scale", "--no-deps", "web=1")
    assert states(scenario) == {"web-1": "running", "db-1": "running"}
    assert identity(scenario, "db-1") == db
    scenario.run("scale", "web=0", "db=2")
    assert states(scenario) == {"db-1": "running", "db-2": "running"}
    for wrong in ("web", "web=", "web=x", "=2"):
        assert scenario.run("scale", wrong, code=None).code != 0


def test_wait_tells_how_each_ended_and_gives_the_last_code(scenario: Scenario) -> None:
    scenario.run("--profile", "tasks", "up", "-d", "short", "shorter")
    done = scenario.run("wait", "short", "shorter", code=5)
    codes = [line.rpartition(" ")[2] for line in done.out.splitlines()]
    assert sorted(codes) == ["4", "5"]
    ids = {identity(scenario, "short-1"), identity(scenario, "shorter-1")}
    assert {line.split('"')[1][:12] for line in done.out.splitlines()} == ids
    scenario.run("wait", "shorter", code=4)
    assert scenario.run("wait", "web", code=None).code != 0, "there is nothing to wait for"


def test_wait_can_take_the_project_down(scenario: Scenario) -> None:
    scenario.up()
    scenario.run("--profile", "tasks", "up", "-d", "short")
    done = scenario.run("wait", "--down-project", "short", "web", code=5)
    assert done.out.count("exited with status code") == 1
    assert scenario.containers() == ()


def test_volumes_are_the_projects_or_those_of_services(scenario: Scenario) -> None:
    scenario.up()
    own = [f"{scenario.project}_data", f"{scenario.project}_other"]
    quiet = scenario.run("volumes", "-q").out.split()
    assert set(own) < set(quiet)
    assert len(quiet) == 3, "an anonymous one too"
    assert scenario.run("volumes", "-q", "db").out.split() == own[1:]
    lines = scenario.run("volumes", "db").out.splitlines()
    assert [line.split() for line in lines] == [["DRIVER", "VOLUME", "NAME"], ["local", own[1]]]
    rows = {
        row["Name"]: row
        for row in map(json.loads, scenario.run("volumes", "--format", "json").out.splitlines())
    }
    assert "kept=yes" in rows[own[0]]["Labels"]
    assert rows[own[0]]["Mountpoint"].endswith(f"{own[0]}/_data")
    assert scenario.run("volumes", "--format", "{{.Name}}", "db").out == f"{own[1]}\n"
