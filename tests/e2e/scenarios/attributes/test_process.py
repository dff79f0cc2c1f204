"""What a service says of its processes: rights, namespaces, names, limits; and what exec adds."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest
from support.scenario import PATIENCE_SECONDS, Scenario, command

APP = 'command: ["sleep", "1000"]'
FIXED = "image: busybox\n    stop_signal: SIGKILL\n    command: [sleep, '1000']"
STATUS = "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t'"


def add(scenario: Scenario, **services: str) -> None:
    """Write services beside ``app``."""
    path = scenario.directory / "compose.yaml"
    parts = [f"  {name}:\n    {FIXED}\n    {body}\n" for name, body in services.items()]
    path.write_text(path.read_text() + "".join(parts))


def status(scenario: Scenario, *words: str) -> dict[str, str]:
    done = scenario.run("exec", "-T", *words, "sh", "-c", STATUS)
    return dict(line.split(":") for line in done.out.splitlines())


def own_capabilities() -> int:
    """What this process could give away."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapPrm"):
            return int(line.split()[1], 16)
    raise AssertionError


def test_rights(scenario: Scenario) -> None:
    add(
        scenario,
        priv="privileged: true",
        dropped="cap_drop: [ALL]\n    cap_add: [CHOWN]\n    security_opt: [no-new-privileges]",
        free="security_opt: [seccomp=unconfined, no-new-privileges:false]",
    )
    scenario.up()
    plain = status(scenario, "app")
    assert (plain["NoNewPrivs"], plain["Seccomp"]) == ("0", "2")
    assert plain["CapEff"] == plain["CapBnd"] == "00000000a80425fb"
    privileged = status(scenario, "priv")
    assert int(privileged["CapEff"], 16) == own_capabilities()
    assert (privileged["NoNewPrivs"], privileged["Seccomp"]) == ("0", "0")
    assert scenario.exec("priv", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward").out == ""
    scenario.exec("app", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward", code=1)
    dropped = status(scenario, "dropped")
    assert (dropped["CapEff"], dropped["NoNewPrivs"]) == (f"{1:016x}", "1")
    free = status(scenario, "free")
    assert (free["NoNewPrivs"], free["Seccomp"]) == ("0", "0")
    assert int(status(scenario, "--privileged", "app")["CapEff"], 16) == own_capabilities()
    assert status(scenario, "-u", "1000", "app")["CapEff"] == f"{0:016x}"


def namespaces(scenario: Scenario, service: str) -> dict[str, str]:
    kinds = "pid ipc uts cgroup net"
    script = f"for n in {kinds}; do readlink /proc/self/ns/$n; done"
    return dict(line.split(":") for line in scenario.exec(service, "sh", "-c", script).out.split())


def test_namespaces(scenario: Scenario) -> None:
    other = f'"container:{scenario.project}-app-1"'
    scenario.edit(APP, f"{APP}\n    ipc: shareable")
    add(
        scenario,
        joins="pid: service:app\n    ipc: service:app",
        named=f"pid: {other}\n    ipc: {other}\n    depends_on: [app]",
        host="pid: host\n    ipc: host\n    uts: host\n    cgroup: host\n    network_mode: host",
        own="cgroup: private",
    )
    scenario.up()
    app, own = namespaces(scenario, "app"), namespaces(scenario, "own")
    assert not set(app.values()) & set(own.values())
    for service in ("joins", "named"):
        found = namespaces(scenario, service)
        assert {kind for kind in found if found[kind] == app[kind]} == {"pid", "ipc"}
    here = {kind: str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in app}
    assert {k: f"{k}:{v}" for k, v in namespaces(scenario, "host").items()} == here
    assert not {f"{k}:{v}" for k, v in own.items()} & set(here.values())


def test_names_user_and_directory(scenario: Scenario) -> None:
    add(
        scenario,
        named="hostname: box\n    domainname: example.org\n    working_dir: /made/here\n"
        "    user: '1000:1001'\n    group_add: [root, '77']\n    oom_score_adj: 500\n"
        "    stdin_open: true\n    tty: true\n    healthcheck: {disable: true}",
    )
    scenario.up()
    script = (
        "hostname; cat /proc/sys/kernel/domainname; pwd; id -u; id -G; cat /proc/self/oom_score_adj"
    )
    lines = scenario.exec("named", "sh", "-c", script).out.splitlines()
    assert lines[:2] == ["box", "example.org"]
    assert lines[2:4] == ["/made/here", "1000"]
    assert set(lines[4].split()) == {"1001", "0", "77"}
    assert lines[5] == "500"
    assert "box.example.org" in scenario.exec("named", "cat", "/etc/hosts").out
    assert scenario.exec("named", "readlink", "/proc/1/fd/0").out == "/dev/pts/0\n"
    assert scenario.container("named").health == ""


LIMITS = {
    "cpu": ("cpu/cpu.cfs_quota_us", "30000", "cpu.max", "30000 100000"),
    "memory": ("memory/memory.limit_in_bytes", "33554432", "memory.max", "33554432"),
    "reservation": (
        "memory/memory.soft_limit_in_bytes",
        "16777216",
        "memory.low",
        "16777216",
    ),
    "pids": ("pids/pids.max", "20", "pids.max", "20"),
}


def test_limits_of_deploy(scenario: Scenario) -> None:
    add(
        scenario,
        limited="deploy: {resources: {limits: {cpus: '0.3', memory: 32M, pids: 20}, "
        "reservations: {memory: 16M}}}",
    )
    scenario.up()
    for old, was, new, found in LIMITS.values():
        script = f"cd /sys/fs/cgroup; cat {old} 2>/dev/null || cat {new}"
        assert scenario.exec("limited", "sh", "-c", script).out.strip() in {was, found}


def read_to_end(terminal: int) -> str:
    """Return what was said at a terminal that nobody else has open any more."""
    said = b""
    while True:
        try:
            data = os.read(terminal, 65536)
        except OSError:  # EIO
            return said.decode()
        said += data


def test_exec_at_a_terminal(scenario: Scenario) -> None:
    scenario.up()
    ours, theirs = pty.openpty()
    argv = [*command(), "exec", "-it", "-e", "WORD=said", "-w", "/tmp", "-u", "1000", "app"]
    script = "tty; echo $WORD; pwd; id -u; read x; echo got $x; exit 9"
    process = subprocess.Popen(
        [*argv, "sh", "-c", script],
        cwd=scenario.directory,
        env=scenario.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        said = b""
        while b"1000" not in said:
            said += os.read(ours, 65536)
        os.write(ours, b"word\r")
        text = said.decode() + read_to_end(ours)
        assert process.wait(PATIENCE_SECONDS) == 9
    finally:
        process.kill()
        process.wait()
        os.close(ours)
    found = [line for line in text.split("\r\n") if line and line != "word"]
    assert found[0].startswith("/dev/pts/")
    assert found[1:] == ["said", "/tmp", "1000", "got word"]


@pytest.mark.parametrize("words", [("-T",), ("-d",)])
def test_exec_without_one(scenario: Scenario, words: tuple[str, ...]) -> None:
    scenario.up()
    done = scenario.run("exec", *words, "app", "sh", "-c", "tty; touch /tmp/done")
    assert done.out == ("not a tty\n" if words == ("-T",) else "")
    scenario.exec("app", "sh", "-c", "until [ -e /tmp/done ]; do sleep 0.1; done")
