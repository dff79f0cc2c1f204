"""depends_on with condition service_completed_successfully."""

from __future__ import annotations

from support.scenario import Scenario, eventually


def test_app_starts_after_the_migration_has_ended(scenario: Scenario) -> None:
    scenario.up()
    eventually(lambda: "migrated" in scenario.logs("app"), "the app saw the migration's result")
    migrate = scenario.container("migrate")
    assert (migrate.state, migrate.exit_code) == ("exited", 0)


def test_a_failed_migration_fails_the_up_and_app_never_starts(scenario: Scenario) -> None:
    scenario.edit("echo migrated > /data/state", "exit 9")
    done = scenario.up(code=None)
    assert done.code not in {0, 70}
    assert "migrate" in done.err
    assert "9" in done.err
    assert scenario.services() == []
    assert scenario.container("migrate").exit_code == 9


def test_a_second_up_runs_no_gated_service_again(scenario: Scenario) -> None:
    scenario.up()
    before = scenario.started("app")
    scenario.up()
    assert scenario.started("app") == before
