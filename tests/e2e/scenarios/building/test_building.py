"""Images built from a Dockerfile."""

from __future__ import annotations

import re

from support.scenario import Scenario


def slow_step(scenario: Scenario) -> str:
    """Return what the RUN in the middle made: it differs whenever that step ran."""
    return scenario.exec("app", "cat", "/slow-step").out


def test_the_image_is_what_the_dockerfile_says(scenario: Scenario) -> None:
    scenario.up()
    script = "id -u; id -g; pwd; echo $GREETING; cat /flavour; cat unpacked/inside; cat /data/seed"
    said = scenario.exec("app", "sh", "-c", script).out.splitlines()
    assert said == ["1000", "1000", "/srv/app", "hello there", "default", "packed", "seed"]
    listed = scenario.exec("app", "ls", "-nA", "/srv/app").out
    assert "source" in listed
    assert " 1000 " in listed
    assert "ignored" not in listed
    assert ".log" not in listed


def test_a_step_is_cached_until_its_inputs_change(scenario: Scenario) -> None:
    scenario.up("--build")
    first = slow_step(scenario)
    scenario.edit("source 1", "source 2", file="source")
    scenario.up("--build")
    assert slow_step(scenario) == first
    assert scenario.exec("app", "cat", "source").out == "source 2\n"
    scenario.edit("manifest 1", "manifest 2", file="manifest")
    scenario.up("--build")
    assert slow_step(scenario) != first


def test_an_unchanged_build_leaves_the_container_alone(scenario: Scenario) -> None:
    scenario.up("--build")
    before = scenario.started("app")
    scenario.up("--build")
    assert scenario.started("app") == before


def test_target_and_arguments(scenario: Scenario) -> None:
    scenario.run("build", "target")
    assert scenario.run("run", "--rm", "-T", "target").out == "plain\n"


def test_a_failing_step_says_which_and_leaves_no_container(scenario: Scenario) -> None:
    scenario.edit("mkdir /data &&", "echo complaint && exit 3 &&", file="Dockerfile")
    done = scenario.up(code=None)
    assert done.code not in {0, 70}
    assert "complaint" in done.text
    assert "exit 3" in done.text
    assert scenario.containers() == ()


def test_an_unknown_instruction_is_told_with_its_line(scenario: Scenario) -> None:
    scenario.edit("EXPOSE 8080", "EXPSE 8080", file="Dockerfile")
    done = scenario.run("build", code=None)
    assert done.code not in {0, 70}
    assert "EXPSE" in done.text
    assert re.search(r"Dockerfile:16|line 16", done.text)
