"""Commands whose builds are settled answer as ever, and import nothing of what builds."""

import json
import os
import re
import subprocess
import sys

import pytest

pytestmark = pytest.mark.kernel

COMPOSE = """\
name: settled
services:
  one: {image: test/one, build: ./one}
  two: {image: test/two, build: ./two}
"""
HEAVY = ("asyncio", "orchestra.engine.build.builder", "orchestra.planner.plan")


class Commands:
    """Commands of one data directory, run as people do."""

    def __init__(self, root):
        self.root = root
        for name in ("one", "two"):
            context = root / name
            context.mkdir()
            (context / "Dockerfile").write_text("FROM scratch\nCOPY file /\nENV some=$thing\n")
            (context / "file").write_text(name)
        (root / "compose.yaml").write_text(COMPOSE)

    def run(self, *words, code=0):
        """Run a command; return stdout, stderr and the modules that it imported."""
        environment = {
            **os.environ,
            "ORCHESTRA_DATA": f"{self.root}/data",
            "ORCHESTRA_RUN": f"{self.root}/run",
            "ORCHESTRA_CONFIG": f"{self.root}/config",
        }
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "orchestra", *words],
            cwd=self.root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        lines = done.stderr.splitlines()
        assert done.returncode == code, done.stderr[-2000:]
        modules = {line.split("|")[-1].strip() for line in lines if line.startswith("import time:")}
        said = [line for line in lines if not line.startswith("import time:")]
        return done.stdout, re.sub(r"\d+\.\d+s", "0.0s", "\n".join(said)), modules


@pytest.fixture
def commands(tmp_path):
    return Commands(tmp_path)


def test_an_image_build_that_is_settled_is_told_without_building(commands):
    words = ("image", "build", "-t", "test/one", "-t", "test/more", "--iidfile", "id", "one")
    first, said, modules = commands.run(*words)
    assert "orchestra.engine.build.builder" in modules
    assert "UndefinedVar" in said
    (commands.root / "id").unlink()
    second, again, modules = commands.run(*words)
    assert not set(HEAVY) & modules
    assert second == first
    assert (commands.root / "id").read_text() == first.strip()
    assert again.replace("CACHED", "DONE") == said
    quiet, said, _ = commands.run(*words, "-q")
    assert (quiet, said) == (first, "")


@pytest.mark.parametrize(
    "more",
    [
        ("--no-cache",),
        ("--output", "type=tar,dest=out.tar"),
        ("--metadata-file", "metadata"),
        ("--build-arg", "thing=1"),
        ("-t", "test/third"),
    ],
    ids=["no-cache", "output", "metadata", "argument", "name"],
)
def test_an_image_build_that_asks_for_more_is_done(commands, more):
    words = ("image", "build", "-t", "test/one", "one")
    commands.run(*words)
    _, _, modules = commands.run(*words, *more)
    assert "orchestra.engine.build.builder" in modules


def test_a_project_whose_builds_are_settled_is_told_without_building(commands):
    _, first, modules = commands.run("build")
    assert set(HEAVY) <= modules
    _, second, modules = commands.run("build")
    assert not set(HEAVY) & modules
    assert sorted(second.splitlines()) == sorted(first.splitlines())
    _, said, modules = commands.run("build", "two")
    assert not set(HEAVY) & modules
    assert "test/one" not in said
    _, said, modules = commands.run("build", "--quiet")
    assert not set(HEAVY) & modules
    assert said == ""
    _, said, modules = commands.run("--progress", "json", "build", "one")
    assert not set(HEAVY) & modules
    states = [json.loads(line).get("status") for line in said.splitlines() if line[0] == "{"]
    assert (states[0], states[-1]) == ("started", "done")


def test_one_that_is_not_settled_is_built_and_all_are_told(commands):
    commands.run("build")
    (commands.root / "two/file").write_text("changed")
    _, said, modules = commands.run("build")
    assert "orchestra.engine.build.continuing" in modules
    assert "asyncio" not in modules
    assert "Image test/one  Built" in said
    assert "Image test/two  Built" in said
    _, _, modules = commands.run("build")
    assert not set(HEAVY) & modules


def test_an_image_that_was_built_in_another_way_gets_its_note(commands):
    commands.run("build", "one")
    _, _, modules = commands.run("image", "build", "-t", "test/one", "one")
    assert "orchestra.engine.build.builder" in modules
    commands.run("build", "one")
    _, _, modules = commands.run("build", "one")
    assert not set(HEAVY) & modules


def test_what_is_refused_is_refused_as_ever(commands):
    commands.run("build")
    _, said, _ = commands.run("build", "three", code=2)
    assert "three" in said
    _, said, _ = commands.run("--progress", "nonsense", "build", code=2)
    assert "nonsense" in said
