"""Images built from a Dockerfile."""

from __future__ import annotations

import re
from pathlib import Path

from support.gitserver import git_server
from support.scenario import Scenario, files_below, not_on_peer


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


def test_what_a_build_is_given(scenario: Scenario) -> None:
    scenario.environment["WORD"] = "hidden"
    scenario.run("build", "given")
    assert scenario.run("run", "--rm", "-T", "given").out == "440\n77\nrights\n"
    kept = list(files_below(scenario.root))
    assert kept
    said = [
        (path, data)
        for path, data in kept
        if path.name != "compose.yaml" and "snapshots" not in path.parts
    ]
    written = [(path, data) for path, data in said if b"= hidden" not in data]
    assert not [path for path, data in written if b"hidden" in data]


def test_a_check_says_what_docker_says_and_builds_nothing(scenario: Scenario) -> None:
    assert scenario.run("build", "--check", "app").out == "Check complete, no warnings found.\n"
    scenario.edit("ENV GREETING=", "ENV GREETING ", file="Dockerfile")
    done = scenario.run("build", "--check", "app", code=1)
    assert "WARNING: LegacyKeyValueFormat - https://docs.docker.com/" in done.out
    assert re.search(r"\nDockerfile:7\n-+\n(.*\n)+   7 \| >>> ENV GREETING ", done.out)
    assert scenario.run("images", "--quiet").out == ""


def test_a_context_from_git(scenario: Scenario, tmp_path: Path) -> None:
    with git_server(tmp_path) as repositories:
        text = "FROM busybox\nCOPY a /said\n"
        repositories.make("r", web__Dockerfile=text, web__a="from git\n")
        scenario.edit("context: .", f"context: {repositories.url}/r.git#main:web")
        scenario.edit("      target: base\n", "")
        scenario.edit('["cat", "/flavour"]', '["cat", "/said"]')
        scenario.run("build", "target")
    assert scenario.run("run", "--rm", "-T", "target").out == "from git\n"


def test_a_build_of_what_comes_in_on_stdin(scenario: Scenario) -> None:
    not_on_peer("docker compose builds services only")
    text = "FROM busybox\nARG WORD\nRUN echo $WORD > /flavour\n"
    done = scenario.run("build", "-q", "--tag", "piped", "--build-arg", "WORD=in", "-", stdin=text)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", done.out)
    scenario.edit(
        "      target: base\n", "      additional_contexts: {piped: docker-image://piped}\n"
    )
    scenario.edit("context: .", "context: .\n      dockerfile_inline: FROM piped")
    scenario.run("build", "target")
    assert scenario.run("run", "--rm", "-T", "target").out == "in\n"
    assert scenario.run("build", "--check", "-", stdin="FROM busybox\nCMD x\n", code=1).out
    assert "--tag" in scenario.run("build", "-", stdin=text, code=2).text
