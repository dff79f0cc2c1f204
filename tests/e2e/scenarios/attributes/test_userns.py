"""userns-remap in the config file: containers whose root is nobody on the host."""

from __future__ import annotations

import json
import os
import signal
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.scenario import Scenario, eventually, not_on_peer

APP = 'command: ["sleep", "1000"]'
FIRST = 2_000_000_000
SERVICES = """
    command: ["sh", "-c", "trap 'exit 0' TERM; cat /run/secrets/word; echo said > /dev/stdout; sleep 1000 & wait"]
    healthcheck: {test: ["CMD-SHELL", "test $$(id -u) = 0"], interval: 1s}
    secrets: [{source: word, mode: 0400}]
    ports: ["${PORT}:80"]
    volumes:
      - data:/data
      - ./shared:/shared
      - {type: image, source: alpine, target: /tools}
      - {type: volume, source: data, target: /part, volume: {subpath: .}}
  term:
    image: busybox
    tty: true
    stop_signal: SIGKILL
    command: ["sh", "-c", "tty; echo typed > /dev/tty; stat -c %u /dev/console; exec sleep 1000"]
  plain:
    image: busybox
    userns_mode: host
    stop_signal: SIGKILL
    command: ["sleep", "1000"]
    volumes: ["data:/data"]
volumes: {data: }
secrets: {word: {file: ./word}}
"""


@pytest.fixture
def remapped(scenario: Scenario) -> Iterator[Scenario]:
    """Give a name of its own ids of the host, for as long as the test lasts."""
    not_on_peer("userns-remap by a file of its own")
    line = f"{scenario.project}:{FIRST}:65536\n"
    files = [Path("/etc/subuid"), Path("/etc/subgid")]
    before = [path.read_text() if path.exists() else None for path in files]
    for path, text in zip(files, before, strict=True):
        path.write_text((text or "") + line)
    (scenario.root / "config.toml").write_text(f'userns-remap = "{scenario.project}"\n')
    scenario.edit(APP, SERVICES.strip())
    (scenario.directory / "word").write_text("hush\n")
    (scenario.directory / "shared").mkdir()
    yield scenario
    for path, text in zip(files, before, strict=True):
        now = path.read_text().replace(line, "")
        if text is None and not now:
            path.unlink()
        else:
            path.write_text(now)


def test_a_containers_root_is_nobody_here(remapped: Scenario) -> None:
    remapped.up("--wait")
    assert remapped.container("app").health == "healthy"
    pid = remapped.init_pid("app")
    assert Path(f"/proc/{pid}").stat().st_uid == FIRST
    assert remapped.exec("app", "id", "-u").out == "0\n"
    assert remapped.exec("app", "cat", "/proc/self/uid_map").out.split() == [
        "0",
        str(FIRST),
        "65536",
    ]
    assert remapped.exec("plain", "cat", "/proc/self/uid_map").out.split()[1] == "0"
    for word in ("hush\n", "said\n"):
        eventually(lambda word=word: word in remapped.logs("--no-log-prefix", "app"), word)
    typed = ["/dev/pts/0", "typed", "0"]
    eventually(lambda: remapped.logs("--no-log-prefix", "term").split() == typed, "a terminal")
    # Its image, its volumes and its hosts file are its own; what is the host's is not.
    for path in ("/bin", "/data", "/etc/hosts", "/tools/etc", "/part", "/run/secrets/word"):
        assert remapped.exec("app", "stat", "-c", "%u:%g", path).out == "0:0\n", path
    assert remapped.exec("app", "stat", "-c", "%u", "/shared").out == "65534\n"
    remapped.exec("app", "touch", "/shared/x", code=1)
    remapped.exec("app", "sh", "-c", "touch /new && chown 7:7 /new && mkdir -p /a/b")
    remapped.exec("app", "sh", "-c", "echo here > /data/file; chown 1000:1000 /data/file")
    # On disk, and to who shares the volume, owners are what they are inside.
    assert remapped.exec("plain", "stat", "-c", "%u:%g", "/data/file").out == "1000:1000\n"
    ping = ("ping", "-c", "1", "-W", "30", "plain")
    eventually(lambda: remapped.exec("app", *ping, code=None).code == 0, "plain is reached")
    remapped.exec("app", "ip", "addr")
    assert "eth0" in remapped.exec("app", "ls", "/sys/class/net").out


def test_files_go_in_and_out_as_they_are(remapped: Scenario) -> None:
    remapped.up()
    (remapped.directory / "local").write_text("from here\n")
    remapped.run("cp", "local", "app:/in")
    assert remapped.exec("app", "stat", "-c", "%u:%g", "/in").out == "0:0\n"
    remapped.exec("app", "sh", "-c", "echo out > /out; chown 3:4 /out")
    remapped.run("cp", "-a", "app:/out", "copy")
    status = (remapped.directory / "copy").stat()
    assert (status.st_uid, status.st_gid) == (3, 4)
    remapped.run("export", "-o", "all.tar", "app")
    with tarfile.open(remapped.directory / "all.tar") as archive:
        found = {m.name: (m.uid, m.gid) for m in archive if m.name in {"out", "bin/busybox"}}
    assert found == {"out": (3, 4), "bin/busybox": (0, 0)}
    remapped.run("commit", "app", "kept:1")
    remapped.run("stop", "-t", "1", "app")
    remapped.run("cp", "-a", "app:/out", "again")
    assert (remapped.directory / "again").stat().st_uid == 3
    remapped.run("start", "app")
    assert remapped.exec("app", "stat", "-c", "%u:%g", "/out").out == "3:4\n"


def test_one_that_loses_its_shim_goes_on(remapped: Scenario) -> None:
    remapped.up()
    (path,) = remapped.root.glob(f"run/projects/*/containers/{_id(remapped)}*/shim.pid")
    before = path.read_text()
    os.kill(json.loads(before)["pid"], signal.SIGKILL)
    eventually(lambda: path.read_text() != before, "it has another shim")
    assert remapped.exec("app", "id", "-u").out == "0\n"
    ping = ("ping", "-c", "1", "-W", "30", "plain")
    eventually(lambda: remapped.exec("app", *ping, code=None).code == 0, "names resolve again")
    remapped.run("restart", "-t", "1", "app")
    assert remapped.exec("app", "cat", "/proc/self/uid_map").out.split()[1] == str(FIRST)


def _id(scenario: Scenario) -> str:
    return scenario.container("app").id


def test_a_run_has_them_too(remapped: Scenario) -> None:
    done = remapped.run("run", "--rm", "--no-deps", "app", "cat", "/proc/self/uid_map")
    assert done.out.split()[1] == str(FIRST)


@pytest.mark.parametrize("line", ["network_mode: host", "pid: host", "ipc: service:plain"])
def test_what_cannot_be_shared_is_refused(remapped: Scenario, line: str) -> None:
    if "network" in line:
        remapped.edit('    ports: ["${PORT}:80"]\n', "")
    remapped.edit("    healthcheck:", f"    {line}\n    healthcheck:")
    done = remapped.up(code=5)
    assert f"{line} cannot be had with remapped ids" in done.err
    remapped.edit(f"    {line}", f"    {line}\n    userns_mode: host")
    remapped.up()


def test_a_name_without_ids_is_an_error(scenario: Scenario) -> None:
    not_on_peer("userns-remap by a file of its own")
    (scenario.root / "config.toml").write_text('userns-remap = "nobody-has-this"\n')
    done = scenario.up(code=None)
    assert done.code != 0
    assert '"nobody-has-this" has no ids in /etc/subuid' in done.err
