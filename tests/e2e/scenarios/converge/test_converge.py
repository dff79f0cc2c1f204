"""up brings the world to what the file says, touching nothing that is right already."""

from __future__ import annotations

import json

from support.scenario import PATIENCE_SECONDS, Scenario, not_on_peer


def test_a_second_up_starts_nothing(scenario: Scenario) -> None:
    scenario.up()
    before = [scenario.started(name) for name in ("app", "db")]
    scenario.up()
    assert [scenario.started(name) for name in ("app", "db")] == before


def test_a_changed_environment_recreates_that_service_alone(scenario: Scenario) -> None:
    scenario.up()
    db, app = scenario.started("db"), scenario.started("app")
    scenario.edit("LEVEL: low", "LEVEL: high")
    scenario.up()
    assert scenario.started("db") != db
    assert scenario.started("app") == app
    assert scenario.exec("db", "sh", "-c", "echo $LEVEL").out == "high\n"
    assert scenario.container("db").name == f"{scenario.project}-db-1"


def test_force_recreate_renews_all_and_no_deps_spares_the_rest(scenario: Scenario) -> None:
    scenario.up()
    db, app = scenario.started("db"), scenario.started("app")
    scenario.up("--force-recreate", "--no-deps", "app")
    assert scenario.started("db") == db
    assert scenario.started("app") != app


def test_a_service_taken_out_is_an_orphan_until_asked_to_go(scenario: Scenario) -> None:
    scenario.up()
    text = (scenario.directory / "compose.yaml").read_text()
    (scenario.directory / "compose.yaml").write_text(text.partition("  app:")[0])
    scenario.up()
    assert scenario.services() == ["app", "db"]
    scenario.up("--remove-orphans")
    assert scenario.services() == ["db"]


def test_scale_adds_and_takes_replicas(scenario: Scenario) -> None:
    scenario.up("--scale", "app=3")
    assert scenario.services() == ["app", "app", "app", "db"]
    names = {each.name for each in scenario.containers() if each.service == "app"}
    assert names == {f"{scenario.project}-app-{number}" for number in (1, 2, 3)}
    scenario.up("--scale", "app=1")
    assert scenario.services() == ["app", "db"]


def test_the_plan_says_what_and_why_and_changes_nothing(scenario: Scenario) -> None:
    not_on_peer("plan")
    fresh = scenario.run("plan").out
    for subject in ("network:default", "image:busybox", f"container:{scenario.project}-db-1"):
        assert subject in fresh
    assert scenario.containers() == ()
    scenario.up()
    assert scenario.run("plan", "--detailed-exitcode").out.strip()
    before = scenario.started("db")
    scenario.edit("LEVEL: low", "LEVEL: high")
    changed = scenario.run("plan", "--detailed-exitcode", code=10).out
    assert f"{scenario.project}-db-1" in changed
    assert f"{scenario.project}-app-1" not in changed
    assert "environment changed" in changed
    assert "low" not in changed, "a value may be a secret"
    assert scenario.started("db") == before


def test_the_plan_is_json_when_asked(scenario: Scenario) -> None:
    not_on_peer("plan")
    document = json.loads(scenario.run("plan", "--format", "json").out)
    steps = document["steps"] if isinstance(document, dict) else document
    assert {"create", "pull", "start"} <= {step["id"].split()[0] for step in steps}
    assert all(step["reason"] for step in steps)
    scenario.up()
    document = json.loads(scenario.run("plan", "--format", "json").out)
    assert (document["steps"] if isinstance(document, dict) else document) == []


def test_a_killed_up_is_continued_by_the_next(scenario: Scenario) -> None:
    with scenario.running("up", "-d") as process:
        assert process.stdout is not None
        process.stdout.readline()  # it has begun; the context ends it by SIGKILL
    scenario.up()
    assert scenario.services() == ["app", "db"]


def test_two_ups_at_once_end_in_one_project(scenario: Scenario) -> None:
    not_on_peer("lock a project")
    with scenario.running("up", "-d") as first, scenario.running("up", "-d") as second:
        assert first.stdout is not None
        assert second.stdout is not None
        assert (first.wait(PATIENCE_SECONDS), second.wait(PATIENCE_SECONDS)) == (0, 0)
    assert scenario.services() == ["app", "db"]
