"""The same walls, whichever way a process comes into a container; secrets, and who may read what."""

from __future__ import annotations

import contextlib
import os
import pty
import stat
import subprocess
from pathlib import Path

import pytest
from support.scenario import PATIENCE_SECONDS, PEER, Scenario, command, eventually, files_below

FOURTEEN = "00000000a80425fb"
SECRET = "x9-secret-q7"


@pytest.fixture
def started(scenario: Scenario) -> Scenario:
    """A project that was started from an environment with something to hide."""
    scenario.environment["LEAKED"] = "from the host"
    scenario.up("--wait")
    return scenario


def walls(text: str) -> list[str]:
    """Check what walls.sh has found, and return what must be the same elsewhere."""
    lines = text.replace("\r", "").splitlines()
    status = dict(line.split(":\t") for line in lines if ":\t" in line)
    assert status == {
        "CapInh": "0" * 16,
        "CapPrm": FOURTEEN,
        "CapEff": FOURTEEN,
        "CapBnd": FOURTEEN,
        "CapAmb": "0" * 16,
        "NoNewPrivs": "0",
        "Seccomp": "2",
    }
    rest = [line for line in lines if ":\t" not in line]
    assert rest[0] == "descriptors 4"
    assert rest[-3:] == ["firmware 0", "1", "end"], rest
    assert all(line.startswith("/proc/") and line.endswith(" 0") for line in rest[1:-3]), rest
    return lines


@pytest.mark.parametrize("way", ["service", "healthcheck", "hook"])
def test_walls_of_what_the_engine_starts(started: Scenario, way: str) -> None:
    walls(started.exec("app", "cat", f"/out/{way}").out)


def test_walls_of_exec(started: Scenario) -> None:
    walls(started.exec("app", "sh", "/walls.sh").out)


def test_walls_of_run(started: Scenario) -> None:
    walls(started.run("run", "--rm", "-T", "plain", "sh", "/walls.sh").out)


def test_walls_of_a_build_step(started: Scenario) -> None:
    started.run("build", "built")
    walls(started.run("run", "--rm", "-T", "built").out)


def test_a_secret_is_in_the_container_and_nowhere_else(started: Scenario) -> None:
    """Not in records, bundles, requests, logs, images, what commands print, or any command line."""
    assert started.exec("app", "cat", "/run/secrets/token").out == SECRET
    said = [started.run(*words).text for words in (("ps", "-a"), ("config",), ("plan",), ("logs",))]
    assert not any(SECRET in text for text in said)
    for path, data in files_below(started.root):
        assert SECRET.encode() not in data or path.name == "token.txt", path
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert SECRET.encode() not in path.read_bytes()
        except OSError:
            continue
    mounts = started.exec("app", "grep", "/run/secrets", "/proc/mounts").out.split()
    assert mounts[2] == "tmpfs"
    assert "ro" in mounts[3].split(",")


@pytest.mark.skipif(bool(PEER), reason="our own files")
def test_state_is_for_its_owner_alone(started: Scenario) -> None:
    """Whoever is not root gets no further than the directories at the top."""
    for top in ("data", "run"):
        below = started.root / top
        assert stat.S_IMODE(below.stat().st_mode) & 0o077 == 0, below
        for path in (below / "projects").rglob("*"):
            if path.is_socket():
                assert stat.S_IMODE(path.lstat().st_mode) == 0o600, path
            elif path.name in {
                "record.json",
                "config.json",
                "shim.json",
                "log.jsonl",
                "desired.json",
            }:
                assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


@pytest.mark.skipif(bool(PEER), reason="our own sockets")
def test_no_socket_of_ours_has_an_abstract_name(started: Scenario) -> None:
    """CVE-2020-15257: those are reached from every container that shares the host's network."""
    inodes = set()
    for pid in started.footprint.pids():
        with contextlib.suppress(OSError):  # a probe ends while we look
            for fd in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    inodes.add(str(fd.readlink()))
    rows = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:]]
    names = [row[7] for row in rows if len(row) > 7 and f"socket:[{row[6]}]" in inodes]
    assert any(name.endswith("/launcher.sock") for name in names)
    assert not [name for name in names if name.startswith("@")]


def test_what_a_container_says_does_not_drive_the_terminal(started: Scenario) -> None:
    escapes = "\\\\033]0;title\\\\007\\\\033[2J\\\\302\\\\2332J\\\\n"
    started.edit("sh /walls.sh > part; mv part service;", f"printf '{escapes}';")
    started.up()
    eventually(lambda: "title" in started.run("logs").out, "its output")
    shown = in_a_terminal(started, "logs", "--no-color")
    assert "title" in shown
    assert "\x1b]" not in shown
    assert "\x1b[2J" not in shown
    assert "\x9b" not in shown


def in_a_terminal(scenario: Scenario, *words: str) -> str:
    """Return what a command writes to a terminal."""
    master, slave = pty.openpty()
    child = subprocess.Popen(
        [*command(), *words],
        cwd=scenario.directory,
        env={**scenario.environment, "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    output = b""
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:
            break
        output += data
    os.close(master)
    child.wait(PATIENCE_SECONDS)
    return output.decode()
