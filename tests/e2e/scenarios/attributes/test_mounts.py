"""Parts of volumes, images as mounts, and volumes of other containers."""

from __future__ import annotations

from support.scenario import Scenario

APP = 'command: ["sleep", "1000"]'
SUBPATH = """
    volumes:
      - data:/all
  part:
    image: busybox
    stop_signal: SIGKILL
    command: ["sleep", "1000"]
    depends_on: [app]
    volumes:
      - {type: volume, source: data, target: /part, volume: {subpath: one/two}}
volumes:
  data:
"""


def test_a_subpath_of_a_volume_is_mounted_alone(scenario: Scenario) -> None:
    scenario.edit(APP, APP + SUBPATH)
    scenario.up("app")
    scenario.exec("app", "sh", "-c", "mkdir -p /all/one/two; echo here > /all/one/two/file")
    scenario.up()
    assert scenario.exec("part", "cat", "/part/file").out == "here\n"
    scenario.exec("part", "sh", "-c", "echo back > /part/reply")
    assert scenario.exec("app", "cat", "/all/one/two/reply").out == "back\n"
    # So does cp, of one that does not run.
    scenario.run("stop", "part")
    scenario.run("cp", "part:/part/file", "copy")
    assert (scenario.directory / "copy").read_text() == "here\n"


def test_a_subpath_that_is_missing_or_leads_out_is_refused(scenario: Scenario) -> None:
    scenario.edit(APP, APP + SUBPATH)
    scenario.up("app")
    done = scenario.up("part", code=5)
    assert 'cannot mount the subpath "one/two" of the volume at "/part"' in done.err
    assert "no such file" in done.err
    for link in ("/etc", "../../../../etc", "/all"):
        scenario.exec("app", "sh", "-c", f"mkdir -p /all/one; ln -sfn {link} /all/one/two")
        done = scenario.up("part", code=5)
        assert "leads out of there" in done.err
    scenario.exec("app", "sh", "-c", "mkdir /all/real; ln -sfn ../real /all/one/two")
    scenario.up("part")


def test_an_image_is_mounted_with_a_layer_of_its_own(scenario: Scenario) -> None:
    volumes = """
    volumes:
      - {type: image, source: alpine, target: /tools}
      - {type: image, source: alpine, target: /words, read_only: true, image: {subpath: etc}}
"""
    scenario.edit(APP, APP + volumes)
    scenario.up()
    release = scenario.exec("app", "cat", "/tools/etc/os-release").out
    assert "alpine" in release.lower()
    assert scenario.exec("app", "cat", "/words/os-release").out == release
    scenario.exec("app", "sh", "-c", "echo mine > /tools/etc/os-release")
    assert scenario.exec("app", "cat", "/words/os-release").out == release
    assert "Read-only" in scenario.exec("app", "touch", "/words/x", code=1).err
    scenario.run("restart", "-t", "0")
    assert scenario.exec("app", "cat", "/tools/etc/os-release").out == "mine\n"
    scenario.up("--force-recreate")
    assert scenario.exec("app", "cat", "/tools/etc/os-release").out == release


def test_volumes_from_another_projects_container_and_unnamed_ones(scenario: Scenario) -> None:
    lender = scenario.sibling()
    lender.edit(
        APP, APP + "\n    volumes: [/cache, './shared:/shared', 'data:/data']\nvolumes:\n  data:\n"
    )
    lender.up()
    lender.exec("app", "sh", "-c", "echo c > /cache/f; echo s > /shared/f; echo d > /data/f")
    scenario.edit(
        APP,
        APP
        + f"""
    volumes: [/data]
    volumes_from: ["container:{lender.project}-app-1"]
  reader:
    image: busybox
    stop_signal: SIGKILL
    command: ["sleep", "1000"]
    volumes_from: ["app:ro"]
""",
    )
    scenario.up()
    assert scenario.exec("app", "cat", "/cache/f", "/shared/f").out == "c\ns\n"
    assert scenario.exec("app", "ls", "/data").out == ""
    assert scenario.exec("reader", "cat", "/cache/f", "/shared/f").out == "c\ns\n"
    scenario.exec("app", "sh", "-c", "echo new > /data/f")
    assert scenario.exec("reader", "cat", "/data/f").out == "new\n"
    assert "Read-only" in scenario.exec("reader", "touch", "/cache/x", code=1).err


def test_a_volume_of_the_image_comes_back_when_nobody_lends_in_its_place(
    scenario: Scenario,
) -> None:
    """An image's VOLUME gives way to what is borrowed, and is not lost by that."""
    lender = scenario.sibling()
    lender.edit(APP, APP + "\n    volumes: [/cache]\n")
    lender.up()
    lender.exec("app", "sh", "-c", "echo lent > /cache/f")
    (scenario.directory / "Dockerfile").write_text("FROM busybox\nVOLUME /cache\n")
    scenario.edit("image: busybox", "build: .")
    command = 'command: ["sleep", "1000"]'
    scenario.edit(command, f'{command}\n    volumes_from: ["container:{lender.project}-app-1"]')
    scenario.up()
    assert scenario.exec("app", "cat", "/cache/f").out == "lent\n"
    own = scenario.run("volumes", "-q").out.split()
    assert len(own) == 1
    lender.edit("volumes: [/cache]", "volumes: [/other]")
    lender.up()
    scenario.run("restart", "-t", "0")
    assert scenario.exec("app", "ls", "/cache").out == ""
    assert "/cache" in scenario.exec("app", "cat", "/proc/mounts").out
    scenario.run("down", "-v")
    assert scenario.run("volumes", "-q").out == "", "its own one goes with it"


def test_recursive_binds(scenario: Scenario) -> None:
    (scenario.directory / "top/below").mkdir(parents=True)
    volumes = """
    volumes:
      - {type: bind, source: ./top, target: /flat, bind: {recursive: disabled}}
      - {type: bind, source: ./top, target: /half, read_only: true, bind: {recursive: writable}}
      - {type: bind, source: ./top, target: /full, read_only: true}
      - {type: tmpfs, target: /half/below}
"""
    scenario.edit(APP, APP + volumes)
    scenario.up()
    scenario.exec("app", "touch", "/flat/a", "/half/below/a")
    assert "Read-only" in scenario.exec("app", "touch", "/full/below/a", code=1).err
