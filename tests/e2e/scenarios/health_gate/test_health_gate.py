"""depends_on with condition service_healthy."""

from __future__ import annotations

from support.scenario import Scenario, eventually


def test_up_waits_for_db_to_be_healthy(scenario: Scenario) -> None:
    scenario.up()
    assert scenario.container("db").health == "healthy"
    ready = int(scenario.exec("db", "cat", "/tmp/ready").out)
    eventually(lambda: scenario.logs("app") != "", "app says when it began")
    assert int(scenario.logs("--no-log-prefix", "app")) >= ready


def test_wait_returns_once_everything_is_healthy(scenario: Scenario) -> None:
    scenario.up("--wait", "db")
    assert scenario.container("db").health == "healthy"


def test_a_gate_that_cannot_open_fails_the_up_and_starts_nothing_behind_it(
    scenario: Scenario,
) -> None:
    scenario.edit('"-e", "/tmp/ready"', '"-e", "/never"')
    scenario.edit("retries: 30", "retries: 1")
    done = scenario.up(code=None)
    assert done.code not in {0, 70}
    assert "db" in done.err
    assert "unhealthy" in done.err
    assert scenario.container("app").state == "created"
    eventually(lambda: scenario.services() == ["db"], "db is being healed, and comes back")
    assert scenario.container("app").state == "created"
