"""post_start and pre_stop run in their container, around what people ask for."""

from __future__ import annotations

from support.scenario import Scenario, eventually, not_on_peer


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


def test_a_run_in_the_foreground_runs_them_too(scenario: Scenario) -> None:
    not_on_peer("post_start hooks in run")
    wait = "until grep -q over /out/post; do sleep 0.1; done; cat /out/post"
    done = scenario.run("run", "--rm", "--no-deps", "-u", "0", "db", "sh", "-c", wait)
    assert done.out == "0\nhello in /tmp\nover\n"
    assert scenario.containers() == ()


def test_a_run_that_ends_before_its_hooks_is_no_failure(scenario: Scenario) -> None:
    assert scenario.run("run", "--rm", "--no-deps", "db", "echo", "quick").out == "quick\n"


def test_a_hook_that_fails_ends_a_run(scenario: Scenario) -> None:
    not_on_peer("post_start hooks in run")
    scenario.edit("sleep 1; echo over >> /out/post", "echo no such table >&2; exit 3")
    done = scenario.run("run", "--rm", "--no-deps", "db", "sleep", "1000", code=125)
    assert "services.db.post_start.1: the hook failed" in done.err
    assert scenario.containers() == ()


def test_hooks_that_a_kill_left_out_are_made_up_for(scenario: Scenario) -> None:
    not_on_peer("made up hooks")
    scenario.edit("sleep 1; echo over", "sleep 5; echo over")
    with scenario.running("up", "-d", "db") as command:
        path = "data/volumes/*/_data/post"
        eventually(
            lambda: any("hello" in p.read_text() for p in scenario.root.glob(path)),
            "the hooks have begun",
        )
        command.kill()
    assert "its post_start hooks did not run" in scenario.run("plan", "db").out
    before = scenario.started("db")
    scenario.up("db")
    assert "over" in scenario.exec("db", "cat", "/out/post").out
    assert scenario.started("db") == before
    assert "post_start" not in scenario.run("plan", "db").out
