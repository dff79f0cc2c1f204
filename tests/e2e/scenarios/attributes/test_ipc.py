"""Containers that share the memory of another one."""

from __future__ import annotations

from support.scenario import Scenario

APP = 'command: ["sleep", "1000"]'


def test_shared_memory_of_another_service(scenario: Scenario) -> None:
    scenario.edit(
        APP,
        APP
        + """
    ipc: shareable
  other:
    image: busybox
    stop_signal: SIGKILL
    command: ["sleep", "1000"]
    ipc: service:app
""",
    )
    scenario.up()
    scenario.exec("app", "sh", "-c", "echo seen > /dev/shm/file")
    assert scenario.exec("other", "cat", "/dev/shm/file").out == "seen\n"
    spaces = [scenario.exec(s, "readlink", "/proc/self/ns/ipc").out for s in ("app", "other")]
    assert spaces[0] == spaces[1]
    scenario.run("restart", "-t", "0")
    scenario.exec("app", "sh", "-c", "echo again > /dev/shm/file")
    assert scenario.exec("other", "cat", "/dev/shm/file").out == "again\n"
    scenario.run("stop", "-t", "0", "other")
    scenario.run("cp", "other:/etc/hostname", "copy")
