"""post_start and pre_stop run in their container, around what people ask for."""

from __future__ import annotations

from support.scenario import Scenario, eventually


def test_post_start_is_over_before_a_dependent_starts(scenario: Scenario) -> None:
    scenario.up()
    eventually(lambda: "over" in scenario.logs("--no-log-prefix", "reader"), "reader has read")
    lines = scenario.logs("--no-log-prefix", "--no-color", "reader").split("\n")
    assert [line.strip() for line in lines if line.strip()] == ["0", "hello in /tmp", "over"]


def test_pre_stop_runs_before_the_end(scenario: Scenario) -> None:
    scenario.up()
    scenario.run("stop", "db")
    assert scenario.exec("reader", "cat", "/out/pre").out == "stopping\n"


def test_start_and_restart_run_them_again(scenario: Scenario) -> None:
    scenario.up()
    scenario.run("kill", "db")
    scenario.exec("reader", "rm", "/out/post")
    scenario.run("start", "db")
    assert "over" in scenario.exec("reader", "cat", "/out/post").out
    scenario.exec("reader", "rm", "/out/post")
    scenario.run("restart", "db")
    assert scenario.exec("reader", "cat", "/out/pre").out == "stopping\n"
    assert "over" in scenario.exec("reader", "cat", "/out/post").out


def test_up_with_nothing_to_do_runs_no_hook(scenario: Scenario) -> None:
    scenario.up()
    scenario.exec("reader", "rm", "/out/post")
    scenario.up()
    assert scenario.exec("reader", "ls", "/out").out == ""


def test_a_hook_that_fails_is_named_with_what_it_said(scenario: Scenario) -> None:
    scenario.edit("sleep 1; echo over >> /out/post", "echo no such table >&2; exit 3")
    done = scenario.up(code=5)
    assert "services.db.post_start.1: the hook failed" in done.err
    assert "exited with status 3: no such table" in done.err
    assert scenario.services() == ["db"]


def test_a_pre_stop_that_fails_leaves_it_running(scenario: Scenario) -> None:
    scenario.edit("echo stopping >> /out/pre", "exit 4")
    scenario.up()
    done = scenario.run("stop", "db", code=5)
    assert "services.db.pre_stop.0: the hook failed" in done.err
    assert scenario.container("db").state == "running"
    scenario.run("kill", "db")
