"""commit: an image of what a container has become."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.scenario import PEER, Scenario


def config_of(scenario: Scenario, said: str) -> dict[str, object]:
    """Return the config of the image that a commit told of."""
    if PEER:
        pytest.skip("its images lie elsewhere")
    found = re.search(r"Committed as sha256:([0-9a-f]{64})", said)
    assert found, said
    (blob,) = Path(scenario.environment["ORCHESTRA_DATA"]).rglob(f"images/**/{found[1]}")
    config: dict[str, object] = json.loads(blob.read_bytes())
    return config


def next_up(scenario: Scenario) -> None:
    scenario.run("--profile", "next", "up", "-d", "--pull", "never", "next")


@pytest.mark.parametrize("state", ["running", "stopped"])
def test_a_container_of_the_image_has_the_files(scenario: Scenario, state: str) -> None:
    scenario.up()
    scenario.exec("app", "sh", "-c", "echo own > /own; rm /etc/shadow; echo v > /data/file")
    scenario.exec("app", "sh", "-c", "rm -r /home; mkdir -m 1770 /home; chown 5:6 /home")
    if state == "stopped":
        scenario.run("stop", "app")
    scenario.run("commit", "app", "localhost/made:1")
    next_up(scenario)
    script = "cat /own; ls /etc/shadow /data/file; stat -c %a:%u /home; pwd; echo $FLAVOUR"
    said = scenario.exec("next", "sh", "-c", script, code=None).out
    assert said.split() == ["own", "1770:5", "/srv", "sour"]
    scenario.run("--profile", "next", "down", "-v", "--rmi", "all")


def test_it_goes_on_afterwards(scenario: Scenario) -> None:
    scenario.up()
    before = scenario.started("app")
    scenario.run("commit", "app", "localhost/made:1")
    scenario.run("commit", "--pause=false", "app", "localhost/made:1", code=None)
    assert scenario.container("app").state == "running"
    assert scenario.started("app") == before


def test_changes_author_and_message(scenario: Scenario) -> None:
    scenario.up()
    done = scenario.run(
        "commit",
        "-a",
        "A. Smith <a@example.com>",
        "-m",
        "as it was",
        "-c",
        'CMD ["sleep", "7"]',
        "--change",
        "ENV FLAVOUR=sweet MORE=$FLAVOUR",
        "-c",
        "EXPOSE 80 53/udp",
        "-c",
        "LABEL kept=yes",
        "app",
    )
    config = config_of(scenario, done.text)
    process = config["config"]
    assert isinstance(process, dict)
    assert process["Cmd"] == ["sleep", "7"]
    assert {"FLAVOUR=sweet", "MORE=sour"} <= set(process["Env"])
    assert set(process["ExposedPorts"]) == {"80/tcp", "53/udp"}
    assert process["Labels"]["kept"] == "yes"
    assert config["author"] == "A. Smith <a@example.com>"
    history = config["history"]
    assert isinstance(history, list)
    assert history[-1]["comment"] == "as it was"
    assert history[-1]["author"] == "A. Smith <a@example.com>"
    assert history[-1]["created_by"] == "sleep 7"


def test_what_is_no_commit(scenario: Scenario) -> None:
    scenario.up()
    assert "RUN" in scenario.run("commit", "-c", "RUN true", "app", code=None).err
    assert "Bad/Name" in scenario.run("commit", "app", "Bad/Name", code=None).err
    assert scenario.run("commit", "--index", "2", "app", code=1).out == ""
    assert scenario.run("commit", "nobody", code=1).out == ""
    assert scenario.container("app").state == "running"
