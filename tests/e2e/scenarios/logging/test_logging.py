"""Output that is sent to a syslog receiver is there, and in `logs` as ever."""

from __future__ import annotations

from support import receivers
from support.scenario import Scenario, eventually


def test_output_is_sent_and_shown(scenario: Scenario) -> None:
    with receivers.tcp(int(scenario.environment["PORT"])) as server:
        scenario.up()
        assert f" {scenario.project}-app-1[" in server.wait_for("]: hello\n")
        assert server.text().startswith("<158>")
        eventually(lambda: scenario.run("logs", "--no-log-prefix").out == "hello\n", "its log")
        scenario.run("down")


def test_a_receiver_that_is_away_fails_up_and_no_restart(scenario: Scenario) -> None:
    port = int(scenario.environment["PORT"])
    told = scenario.run("up", "-d", code=None)
    assert told.code != 0
    assert f"cannot reach syslog at tcp://127.0.0.1:{port}: connection refused" in told.err
    with receivers.tcp(port) as server:
        scenario.up()
        server.wait_for("]: hello\n")
    scenario.exec("app", "touch", "/end", code=None)
    out = "hello\nhello\n"
    eventually(lambda: scenario.run("logs", "--no-log-prefix").out == out, "a second life")
    scenario.run("down")


def test_an_unknown_option_is_an_error_of_the_plan(scenario: Scenario) -> None:
    scenario.edit("syslog-facility: local3", "syslog-colour: red")
    told = scenario.run("plan", code=3)
    assert 'services.app.logging.options.syslog-colour: the driver "syslog" has no' in told.err
    scenario.edit("syslog-colour: red", "syslog-facility: local3")
