"""Another OCI runtime than the native one: chosen by option, key or settings; every verb on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.scenario import Scenario, eventually, not_on_peer

RUNTIMES = ("runc", "crun")
KINDS = ("cgroup", "ipc", "mnt", "net", "pid", "user", "uts")


@pytest.fixture(autouse=True)
def ours() -> None:
    """An engine has runtimes of its own."""
    not_on_peer("--runtime, and the settings")


@pytest.fixture(params=RUNTIMES)
def runtime(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


def namespaces(pid: int) -> list[str]:
    """Return a process's namespaces, as the host sees them."""
    return [str((Path(f"/proc/{pid}/ns") / kind).readlink()) for kind in KINDS]


def beside(scenario: Scenario) -> list[str]:
    """Return the namespaces of what ``exec`` runs."""
    links = (f"/proc/self/ns/{kind}" for kind in KINDS)
    script = "; ".join(f"readlink {link}" for link in links)
    return scenario.exec("web", "sh", "-c", script).out.splitlines()


def test_every_verb(scenario: Scenario, runtime: str) -> None:
    scenario.environment["WORD"] = "open sesame"
    scenario.run("--runtime", runtime, "up", "-d", "--wait")
    assert scenario.runtime("web") == runtime
    web = scenario.container("web")
    assert (web.state, web.health) == ("running", "healthy")

    assert scenario.exec("web", "cat", "/proc/1/comm").out == "docker-init\n"
    done = scenario.exec("web", "sh", "-c", "cat; cat /run/secrets/word >&2; exit 42", code=42)
    assert "open sesame" in done.err
    assert scenario.exec("web", "nosuch", code=127).err
    limit = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null"
    assert str(64 << 20) in scenario.exec("web", "sh", "-c", f"{limit}; true").out
    scenario.exec("web", "sh", "-c", "echo kept > /data/file")
    assert beside(scenario) == namespaces(scenario.init_pid("web"))

    scenario.run("pause", "web")
    assert scenario.container("web").state == "paused"
    scenario.run("unpause", "web")
    assert scenario.container("web").state == "running"

    stats = json.loads(scenario.run("stats", "--no-stream", "--format", "json").out)
    assert int(stats["PIDs"]) >= 2
    assert "trap" in scenario.run("top", "web").out

    scenario.run("restart", "web")
    assert scenario.exec("web", "cat", "/data/file").out == "kept\n"
    eventually(lambda: scenario.logs("web").count("hello") == 2, "it hears SIGTERM")
    scenario.run("stop", "web")
    stopped = scenario.container("web")
    assert (stopped.state, stopped.exit_code) == ("exited", 7)
    assert scenario.logs("--no-log-prefix", "web").splitlines() == ["hello", "bye"] * 2
    scenario.run("start", "web")
    eventually(lambda: scenario.container("web").health == "healthy", "it is healthy again")
    scenario.run("kill", "web")
    eventually(lambda: scenario.container("web").state == "exited", "it is dead")
    assert scenario.container("web").exit_code == 137
    assert scenario.run("--runtime", runtime, "run", "--rm", "web", "echo", "once").out == "once\n"
    scenario.run("down")
    assert scenario.containers() == ()


def test_a_service_has_its_own_and_the_settings_have_the_others(scenario: Scenario) -> None:
    scenario.environment["WORD"] = "x"
    scenario.set_runtime("runc")
    scenario.edit("    profiles: [other]\n", "    runtime: native\n")
    scenario.up()
    assert (scenario.runtime("web"), scenario.runtime("other")) == ("runc", "native")
    plan = scenario.run("--runtime", "native", "plan").out
    assert "create container:" in plan
    assert "# runtime changed" in plan
    assert "other" not in plan
    scenario.run("--runtime", "native", "up", "-d")
    assert scenario.runtime("web") == "native"


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ('runtime = "nosuch"', 'cannot find the runtime "nosuch"'),
        ("runtime = 5", "runtime: not the name of a runtime"),
        ("runtime", "cannot read the settings"),
    ],
    ids=["unknown", "number", "damaged"],
)
def test_settings_that_cannot_be(scenario: Scenario, settings: str, said: str) -> None:
    scenario.environment["WORD"] = "x"
    config = scenario.root / "config.toml"
    config.write_text(settings)
    assert said in scenario.up(code=None).err
    assert scenario.containers() == ()
    config.unlink()
