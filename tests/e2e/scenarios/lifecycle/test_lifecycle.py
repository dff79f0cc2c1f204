"""The everyday commands: up, ps, logs, exec, stop, start, restart, run, down."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess

import pytest
from support.scenario import PATIENCE_SECONDS, Scenario, command, eventually, not_on_peer


def test_up_returns_and_both_services_run(scenario: Scenario) -> None:
    scenario.up()
    assert scenario.services() == ["web", "worker"]
    web = scenario.container("web")
    assert web.name == f"{scenario.project}-web-1"
    assert web.health == ""


def test_down_leaves_no_container(scenario: Scenario) -> None:
    scenario.up()
    scenario.run("down")
    assert scenario.containers() == ()
    scenario.run("down")


def test_logs_hold_both_streams_under_the_container_name(scenario: Scenario) -> None:
    scenario.up()
    eventually(lambda: "trouble" in scenario.logs("web"), "both lines are logged")
    lines = scenario.logs("web").splitlines()
    assert sorted(line.partition("|")[2].strip() for line in lines) == ["hello from web", "trouble"]
    assert all(line.startswith("web-1") for line in lines)


def test_logs_tail_gives_the_last_lines(scenario: Scenario) -> None:
    scenario.up()
    eventually(lambda: "line 5" in scenario.logs("worker"), "all lines are logged")
    text = scenario.run("logs", "--no-color", "--no-log-prefix", "--tail", "2", "worker").out
    assert text.splitlines() == ["line 4", "line 5"]


def test_logs_follow_ends_with_the_container(scenario: Scenario) -> None:
    scenario.up()
    with scenario.running("logs", "-f", "--no-color", "worker") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "line 5" in line:
                break
        scenario.run("stop", "worker")
        process.wait(PATIENCE_SECONDS)


def test_exec_passes_streams_and_exit_code_on(scenario: Scenario) -> None:
    scenario.up()
    done = scenario.exec("web", "sh", "-c", "cat; echo err >&2; exit 42", code=42, stdin="to cat")
    assert done.out == "to cat"
    assert "err" in done.err


def test_exec_of_a_missing_program_is_127_or_126(scenario: Scenario) -> None:
    scenario.up()
    done = scenario.exec("web", "no-such-program", code=None)
    assert done.code in {126, 127}
    assert "no-such-program" in done.text


def test_exec_takes_user_directory_and_environment(scenario: Scenario) -> None:
    scenario.up()
    options = ("-u", "1000:1000", "-w", "/tmp", "-e", "GREETING=hi")
    script = "echo $(id -u) $(id -g) $PWD $GREETING $NAME"
    done = scenario.run("exec", "-T", *options, "web", "sh", "-c", script)
    assert done.out.split() == ["1000", "1000", "/tmp", "hi", "web"]


def test_exec_has_a_terminal_when_it_is_given_one(scenario: Scenario) -> None:
    scenario.up()
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(scenario.directory)
        words = [*command(), "exec", "web", "sh", "-c", "test -t 0 && test -t 1 && tty"]
        os.execvpe(words[0], words, scenario.environment)
    said = b""
    try:
        while part := os.read(terminal, 4096):
            said += part
    except OSError:  # EIO is how a terminal says that the other side is gone
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, said
    assert b"/dev/" in said


def test_stop_start_and_restart_keep_the_container(scenario: Scenario) -> None:
    scenario.up()
    before, first = scenario.container("web").id, scenario.started("web")
    scenario.run("stop", "web")
    assert scenario.services() == ["worker"]
    assert scenario.container("web").exit_code == 137
    scenario.run("start", "web")
    second = scenario.started("web")
    scenario.run("restart", "web")
    third = scenario.started("web")
    assert scenario.container("web").id == before
    assert len({first, second, third}) == 3


def test_run_gives_the_exit_code_and_leaves_nothing(scenario: Scenario) -> None:
    done = scenario.run("run", "--rm", "-T", "web", "sh", "-c", "echo $NAME; exit 5", code=5)
    assert done.out == "web\n"
    assert scenario.containers() == ()


def test_images_names_what_the_containers_use(scenario: Scenario) -> None:
    scenario.up()
    text = scenario.run("images").out
    assert f"{scenario.project}-web-1" in text
    assert "busybox" in text


def test_top_shows_the_processes_as_the_hosts_ps_does(scenario: Scenario) -> None:
    scenario.up()

    def shown() -> list[list[str]]:
        return [line.split(maxsplit=9) for line in scenario.run("top").out.splitlines()]

    eventually(lambda: [row[9].split()[0] for row in shown()[1:]] == ["sleep"] * 2, "both sleep")
    header, *rows = shown()
    assert header == ["SERVICE", "#", "UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert {row[0] for row in rows} == {"web", "worker"}
    for row in rows:
        fields = ["user", "pid", "ppid", "tty", "args"]
        there = subprocess.check_output(
            ["ps", "-o", ",".join(f"{f}=" for f in fields), "-p", row[3]]
        )
        assert there.decode().split(maxsplit=4) == [*row[2:5], row[7], f"{row[9]}\n"]
    scenario.run("stop", "web")
    assert scenario.run("top", "web").out == ""


def ticks(scenario: Scenario) -> int:
    """Return how far the ticking service has come."""
    return len(scenario.logs("ticker").splitlines())


def test_pause_holds_a_service_where_it_is(scenario: Scenario) -> None:
    scenario.up("ticker", "web")
    eventually(lambda: ticks(scenario) > 1, "it ticks")
    before = scenario.started("ticker")
    assert "Paused" in scenario.run("pause", "ticker").text
    assert scenario.container("ticker").state == "paused"
    assert scenario.container("web").state == "running"
    # what it said before may still be on its way to the file
    eventually(lambda: ticks(scenario) == ticks(scenario), "it says nothing more")
    held = ticks(scenario)
    assert "paused" in scenario.exec("ticker", "true", code=1).err
    assert "paused" in scenario.run("pause", "ticker", code=None).err
    assert ticks(scenario) == held
    scenario.run("unpause", "ticker")
    eventually(lambda: ticks(scenario) > held, "it goes on")
    assert scenario.started("ticker") == before
    assert "not paused" in scenario.run("unpause", "ticker", code=None).err


@pytest.mark.parametrize("words", [("stop", "-t", "5"), ("kill",), ("restart",), ("rm", "-sf")])
def test_a_paused_service_can_be_ended(scenario: Scenario, words: tuple[str, ...]) -> None:
    scenario.up("ticker")
    before = scenario.started("ticker")
    scenario.run("pause", "ticker")
    scenario.run(*words, "ticker")
    if words[0] == "restart":
        assert scenario.container("ticker").state == "running"
        assert scenario.started("ticker") != before
    else:
        eventually(lambda: "ticker" not in scenario.services(), "it has ended")


def test_stats_tell_what_a_busy_service_uses(scenario: Scenario) -> None:
    scenario.up("busy", "web")
    said = scenario.run("stats", "--no-stream", "--format", "json").out
    rows = {row["Name"]: row for row in map(json.loads, said.splitlines())}
    busy, web = (rows[f"{scenario.project}-{name}-1"] for name in ("busy", "web"))
    assert float(busy["CPUPerc"].rstrip("%")) > 1 > float(web["CPUPerc"].rstrip("%"))
    assert busy["MemUsage"].endswith(" / 32MiB")
    assert int(web["PIDs"]) >= 1
    table = scenario.run("stats", "--no-stream", "busy").out.splitlines()
    assert table[0].split()[:3] == ["CONTAINER", "ID", "NAME"]
    assert len(table) == 2


def test_exec_can_leave_a_process_to_the_container(scenario: Scenario) -> None:
    scenario.up("web")
    scenario.run(
        "exec", "-d", "-e", "WHO=me", "web", "sh", "-c", "echo $WHO > /tmp/said; exec sleep 500"
    )
    said = lambda: scenario.exec("web", "cat", "/tmp/said", code=None).out  # noqa: E731
    eventually(lambda: said() == "me\n", "it runs")
    assert "sleep 500" in scenario.run("top", "web").out
    assert "no-such" in scenario.run("exec", "-d", "web", "no-such", code=127).err
    scenario.run("stop", "web")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_exec_and_what_it_runs(scenario: Scenario, number: signal.Signals) -> None:
    def runs() -> bool:
        words = scenario.exec("web", "ps", "-o", "args").out.splitlines()
        return "sleep 54321" in map(str.strip, words)

    scenario.up()
    with scenario.running("exec", "-T", "web", "sleep", "54321") as process:
        eventually(runs, "it runs")
        process.send_signal(number)
        assert process.wait(PATIENCE_SECONDS) == 130
    eventually(lambda: not runs(), "it is gone")


def test_exec_carries_much_both_ways(scenario: Scenario) -> None:
    scenario.up()
    text = "0123456789abcdef" * 65536 * 4
    assert scenario.exec("web", "cat", stdin=text).out == text


def test_exec_ends_when_its_process_reads_no_input(scenario: Scenario) -> None:
    scenario.up()
    done = scenario.exec("web", "sh", "-c", "exec <&-; echo done", stdin="x" * 1_000_000)
    assert done.out == "done\n"


def test_exec_ends_when_nobody_reads_its_output(scenario: Scenario) -> None:
    scenario.up()
    with scenario.running("exec", "-T", "web", "yes") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "y\n"
        os.dup2(os.open(os.devnull, os.O_RDONLY), process.stdout.fileno())
        assert process.wait(60) == 141
    eventually(lambda: "yes" not in scenario.run("top", "web").out, "it is gone")


def test_what_is_done_all_day_imports_little(scenario: Scenario) -> None:
    not_on_peer("imports of this program")
    scenario.run("up", "-d", "web")
    scenario.environment["PYTHONPROFILEIMPORTTIME"] = "1"
    entered = imported(scenario.exec("web", "true").err)
    assert "orchestra.engine.container.exec_talk" in entered
    assert entered.isdisjoint(
        {"re", "json", "socket", "typing", "pathlib", "orchestra.cli.session"}
    )
    settled = imported(scenario.run("up", "-d", "web").err)
    assert "orchestra.engine.local.settled" in settled
    assert settled.isdisjoint({"anyio", "asyncio", "pydantic", "ssl"})


def imported(said: str) -> set[str]:
    lines = [line for line in said.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip() for line in lines}
