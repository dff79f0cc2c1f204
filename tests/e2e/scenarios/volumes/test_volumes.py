"""Named volumes, bind mounts and tmpfs."""

from __future__ import annotations

from support.scenario import Scenario


def test_a_named_volume_outlives_down_and_goes_with_down_v(scenario: Scenario) -> None:
    scenario.up()
    scenario.exec("app", "sh", "-c", "echo kept > /data/file")
    scenario.run("down")
    scenario.up()
    assert scenario.exec("app", "cat", "/data/file").out == "kept\n"
    scenario.run("down", "-v")
    scenario.up()
    scenario.exec("app", "test", "!", "-e", "/data/file")


def test_an_empty_named_volume_takes_what_the_image_has_there(scenario: Scenario) -> None:
    scenario.up()
    assert "root:" in scenario.exec("app", "cat", "/etc/passwd").out


def test_a_bind_mount_is_the_hosts_directory(scenario: Scenario) -> None:
    scenario.up()
    assert scenario.exec("app", "cat", "/shared/note").out == "from the host\n"
    scenario.exec("app", "sh", "-c", "echo from inside > /shared/reply")
    assert (scenario.directory / "shared/reply").read_text() == "from inside\n"
    done = scenario.exec("app", "touch", "/shared-ro/reply", code=1)
    assert "Read-only" in done.err


def test_a_tmpfs_is_empty_and_its_own(scenario: Scenario) -> None:
    scenario.up()
    mounts = scenario.exec("app", "cat", "/proc/mounts").out.splitlines()
    assert [line.split()[2] for line in mounts if line.split()[1] == "/scratch"] == ["tmpfs"]
    assert scenario.exec("app", "ls", "/scratch").out == ""
