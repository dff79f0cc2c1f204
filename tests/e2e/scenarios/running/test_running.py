"""`run` in both its ways: through the supervisor, where all is as usual, and by itself."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.faults import data_directory, kill, run_directory, supervisor
from support.scenario import RUNTIME, Result, Scenario, command, eventually, not_on_peer

PLAIN, WHOLE = "plain", "whole"


def run(scenario: Scenario, *words: str, code: int | None = 0, stdin: str = "") -> Result:
    return scenario.run("run", "--rm", "-T", "web", *words, code=code, stdin=stdin)


def bring_up(scenario: Scenario) -> None:
    """Bring the project up, have it remembered, and wait for its supervisor."""
    scenario.up()
    run(scenario, "true")
    socket_file = run_directory(scenario) / "supervisor.sock"
    eventually(socket_file.exists, "the supervisor listens")


def imported(scenario: Scenario, *words: str) -> set[str]:
    """Run a container, and return what the command imported for that."""
    scenario.environment["PYTHONPROFILEIMPORTTIME"] = "1"
    said = run(scenario, *words).err
    del scenario.environment["PYTHONPROFILEIMPORTTIME"]
    return set(re.findall(r"^import time:.*\| *(\S+)$", said, re.MULTILINE))


def is_plain(scenario: Scenario) -> bool:
    return "orchestra.engine.container.foreground" not in imported(scenario, "true")


@pytest.fixture(params=[PLAIN, WHOLE])
def way(request: pytest.FixtureRequest, scenario: Scenario) -> Iterator[str]:
    """Bring the project up, and see that a run goes that way."""
    not_on_peer("two ways of running")
    if request.param == WHOLE and not RUNTIME:
        (scenario.root / "config.toml").touch()
    bring_up(scenario)
    assert RUNTIME or is_plain(scenario) == (request.param == PLAIN)
    yield str(request.param)
    assert place(scenario) is None


def place(scenario: Scenario) -> Path | None:
    """Return the directory of a run's container, if there is any."""
    for record in data_directory(scenario).glob("containers/*/record.json"):
        with contextlib.suppress(FileNotFoundError):  # it is being removed
            if json.loads(record.read_text())["record"].get("one_off"):
                return record.parent
    return None


def sleeps(scenario: Scenario) -> bool:
    """Tell whether the process of a run is there."""
    for pid in scenario.footprint.pids():
        with contextlib.suppress(OSError):
            if b"\0004321\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return True
    return False


@pytest.mark.usefixtures("way")
def test_the_exit_code_is_the_commands(scenario: Scenario) -> None:
    assert run(scenario, "sh", "-c", "echo $GREETING; echo bad >&2; exit 5", code=5) == Result(
        5, "hello\n", "bad\n"
    )
    run(scenario, "sh", "-c", "sh -c 'kill -9 $$'; exit $?", code=137)
    assert "no-such" in run(scenario, "no-such", code=127).err
    assert "/etc/hosts" in run(scenario, "/etc/hosts", code=126).err


@pytest.mark.usefixtures("way")
def test_much_is_carried_both_ways(scenario: Scenario) -> None:
    text = "0123456789abcdef" * 65536
    assert run(scenario, "cat", stdin=text).out == text
    script = "cat; head -c 1000000 /dev/zero | tr '\\0' x >&2"
    done = run(scenario, "sh", "-c", script, stdin=text)
    assert done == Result(0, text, "x" * 1_000_000)
    assert run(scenario, "sh", "-c", "exec <&-; echo done", stdin=text).out == "done\n"
    assert run(scenario, "wc", "-c").out == "0\n"


@pytest.mark.usefixtures("way")
def test_options_are_heeded(scenario: Scenario) -> None:
    options = ("-e", "A=1", "-u", "1000", "-w", "/tmp", "--name", "other")
    words = ("sh", "-c", "echo $A $(id -u) $PWD")
    assert scenario.run("run", "--rm", "-T", *options, "web", *words).out == "1 1000 /tmp\n"
    assert scenario.run("run", "--rm", "-T", "-i", "web", "cat", stdin="a").out == "a"
    off = scenario.run("run", "--rm", "-T", "--no-interactive", "web", "cat", stdin="a")
    assert off.out == ""


@pytest.mark.usefixtures("way")
def test_what_is_kept_can_be_looked_at(scenario: Scenario) -> None:
    scenario.run("run", "-T", "--name", "kept", "web", "sh", "-c", "echo said; exit 3", code=3)
    (kept,) = (each for each in scenario.containers() if each.name == "kept")
    assert (kept.state, kept.exit_code, kept.service) == ("exited", 3, "web")
    taken = scenario.run("run", "--rm", "-T", "--name", "kept", "web", "true", code=125)
    assert "there is one of that name" in taken.err
    scenario.run("down", "-t", "0")


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_are_passed_on_and_the_third_kills(
    scenario: Scenario, number: signal.Signals
) -> None:
    script = "trap 'echo heard' INT TERM; echo up; while :; do sleep 0.1; done"
    with scenario.running("run", "--rm", "-T", "web", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        for _ in range(2):
            process.send_signal(number)
            assert process.stdout.readline() == "heard\n"
        process.send_signal(number)
        assert process.wait(60) == 137


@pytest.mark.usefixtures("way")
def test_a_reader_that_goes_away_ends_it(scenario: Scenario) -> None:
    with scenario.running("run", "--rm", "-T", "web", "yes") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "y\n"
        os.dup2(os.open(os.devnull, os.O_RDONLY), process.stdout.fileno())
        assert process.wait(60) == 141


@pytest.mark.usefixtures("way")
def test_a_terminal_has_its_size(scenario: Scenario) -> None:
    ours, theirs = pty.openpty()
    script = "stty size; test -t 0 && test -t 1; echo code $?; read x; echo got $x; exit 4"
    process = subprocess.Popen(
        [*command(), "run", "--rm", "web", "sh", "-c", script],
        cwd=scenario.directory,
        env=scenario.environment,
        stdin=theirs,
        stdout=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    said = b""
    try:
        while b"code 0" not in said:
            said += os.read(ours, 65536)
        os.write(ours, b"word\n")
        while b"got word" not in said:
            said += os.read(ours, 65536)
        assert process.wait(60) == 4
    finally:
        process.kill()
        os.close(ours)


def test_both_ways_make_the_same_container(scenario: Scenario) -> None:
    not_on_peer("two ways of running")
    if RUNTIME:
        pytest.xfail("another runtime is the whole way's")
    bring_up(scenario)
    documents = {way: asked(scenario, way) for way in (PLAIN, WHOLE)}
    assert documents[PLAIN] == documents[WHOLE]


def asked(scenario: Scenario, way: str) -> list[object]:
    """Return what is written down of a run while it goes on, without what differs each time."""
    settings = scenario.root / "config.toml"
    settings.unlink(missing_ok=True)
    if way == WHOLE:
        settings.touch()
    options = ("run", "--rm", "-T", "-e", "A=b", "-u", "7", "web")
    script = "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done"
    with scenario.running(*options, "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        directory = place(scenario)
        assert directory is not None
        found = [
            json.loads(text)
            for name in ("record.json", "shim.json", "bundle/config.json")
            if (text := neutral(directory, name))
        ]
        found.append(json.loads((data_directory(scenario) / "desired.json").read_text()))
        names = {path.name for path in directory.iterdir()}
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    return [*found, names]


def neutral(directory: Path, name: str) -> str:
    """Return a document in which ids, moments and addresses are the same in all containers."""
    record = json.loads((directory / "record.json").read_text())["record"]
    text = (directory / name).read_text()
    text = text.replace(record["id"], "ID").replace(record["id"][:12], "ID")
    text = text.replace(record["labels"]["com.docker.compose.slug"], "SLUG")
    text = text.replace(record["spec"]["name"], "NAME")
    for endpoint in record["endpoints"]:
        for key in ("mac", "ipv4", "ipv6", "host_interface"):
            if endpoint.get(key):
                text = text.replace(f'"{endpoint[key]}', f'"{key}')
    return re.sub(r'"\d{4}-\d\d-\d\dT[^"]*"', '"then"', text)


def test_nothing_runs_of_a_killed_command(scenario: Scenario, way: str) -> None:
    with scenario.running("run", "--rm", "-T", "web", "sh", "-c", "echo up; sleep 4321") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        assert sleeps(scenario)
        process.kill()
        process.wait(60)
    eventually(lambda: not sleeps(scenario), "nothing runs")
    if way == WHOLE or RUNTIME:
        scenario.run("down", "-t", "0")
    eventually(lambda: place(scenario) is None, "the container is removed")


def test_a_command_may_be_killed_at_any_moment(scenario: Scenario) -> None:
    not_on_peer("supervisors")
    bring_up(scenario)
    for milliseconds in range(0, 400, 20):
        process = subprocess.Popen(
            [*command(), "run", "--rm", "-T", "web", "sleep", "4321"],
            cwd=scenario.directory,
            env=scenario.environment,
            stdin=subprocess.DEVNULL,
        )
        try:
            process.wait(milliseconds / 1000)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(60)
        eventually(lambda: not sleeps(scenario), "nothing runs")
        if RUNTIME:
            scenario.run("down", "-t", "0")
            scenario.up()
        eventually(lambda: place(scenario) is None, "the container is removed")
    assert run(scenario, "echo", "word").out == "word\n"


@pytest.mark.usefixtures("way")
def test_down_ends_it(scenario: Scenario) -> None:
    with scenario.running("run", "--rm", "-T", "web", "sh", "-c", "echo up; sleep 4321") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        scenario.run("down", "-t", "0")
        assert process.wait(60) == 137
        assert process.stdout.read() == ""


@pytest.mark.usefixtures("way")
def test_a_run_outlives_the_supervisor(scenario: Scenario) -> None:
    script = "echo up; read x; echo $x; exit 6"
    process = subprocess.Popen(
        [*command(), "run", "--rm", "-T", "web", "sh", "-c", script],
        cwd=scenario.directory,
        env=scenario.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    kill(supervisor(scenario))
    out, _ = process.communicate("word\n", timeout=60)
    assert (out, process.returncode) == ("word\n", 6)
    assert place(scenario) is None


def test_a_dead_supervisor_is_not_waited_for(scenario: Scenario) -> None:
    not_on_peer("supervisors")
    bring_up(scenario)
    kill(supervisor(scenario))
    assert run(scenario, "echo", "word").out == "word\n"
    assert place(scenario) is None


def test_a_supervisor_that_dies_on_the_way_leaves_nothing(scenario: Scenario) -> None:
    """Either nothing was done by then, and all is done again; or nobody can tell, and it says so."""
    not_on_peer("supervisors")
    bring_up(scenario)
    for _ in range(6):
        with scenario.running("run", "--rm", "-T", "web", "echo", "word") as process:
            eventually(
                lambda: place(scenario) is not None or process.poll() is not None,
                "the container is made",
            )
            for pid in scenario.processes("orchestra.engine.supervise"):
                kill(pid)
            code = process.wait(60)
            assert process.stdout is not None
            said = process.stdout.read()
        assert (code, said) == (0, "word\n") or (code == 125 and "supervisor was killed" in said)
        eventually(lambda: place(scenario) is None, "the container is removed")
        eventually(
            lambda: bool(scenario.processes("orchestra.engine.supervise")), "there is a supervisor"
        )


@pytest.mark.usefixtures("way")
def test_what_it_depends_on_is_started_first(scenario: Scenario) -> None:
    scenario.run("stop", "db")
    run(scenario, "true")
    assert scenario.services() == ["db", "web"]
    scenario.run("stop", "db")
    scenario.run("run", "--rm", "-T", "--no-deps", "web", "true")
    assert scenario.services() == ["web"]
    scenario.up()


@pytest.mark.usefixtures("way")
def test_what_is_written_now_counts(scenario: Scenario) -> None:
    scenario.environment["GREETING"] = "ahoy"
    assert run(scenario, "sh", "-c", "echo $GREETING").out == "ahoy\n"
    assert run(scenario, "sh", "-c", "echo $GREETING").out == "ahoy\n"
    del scenario.environment["GREETING"]
    assert run(scenario, "sh", "-c", "echo $GREETING").out == "hello\n"
    scenario.edit("hello", "hi")
    assert run(scenario, "sh", "-c", "echo $GREETING").out == "hi\n"


@pytest.mark.usefixtures("way")
def test_many_may_run_at_once(scenario: Scenario) -> None:
    with ThreadPoolExecutor(6) as pool:
        script = "echo $$; cat /etc/hosts | tail -1; sleep 0.2"
        found = list(pool.map(lambda _: run(scenario, "sh", "-c", script).out, range(6)))
    assert len(set(found)) == 6, "each has an address of its own"


def test_another_version_of_the_program_is_not_served(scenario: Scenario) -> None:
    not_on_peer("supervisors")
    bring_up(scenario)
    request = {
        "code": "another",
        "key": "0" * 64,
        "run": {"service": "web", "slug": "0" * 64},
        "no_deps": False,
        "remove": True,
    }
    texts = (json.dumps(request), json.dumps({**request, "new": 1}), "{", "")
    for text in texts:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(run_directory(scenario) / "supervisor.sock"))
            sock.sendall(f"run {text}\n".encode())
            assert sock.recv(4096) == b'{"refused":true}\n'
    assert place(scenario) is None
