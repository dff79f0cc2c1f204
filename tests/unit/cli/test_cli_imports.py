"""What each command may import: start-up time is what a user feels first."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

_PROBE = """
import json, sys
sys.argv[0] = "orchestra"
from orchestra.__main__ import answer
answer(sys.argv[1:])
print("\\n" + json.dumps(sorted(sys.modules)))
"""
_HEAVY = frozenset({"pydantic", "networkx", "pyroute2", "httpx2", "rich"})
_BARE = _HEAVY | {"anyio", "asyncio", "yaml"}
_ROOT = str(Path(__file__).parents[3])
_COMPOSE = 'services: {web: {image: busybox, command: ["true"]}}\n'


def modules(directory: Path, *words: str) -> set[str]:
    """Return the top-level packages that a command line leaves imported."""
    return {name.partition(".")[0] for name in all_modules(directory, *words)}


def all_modules(directory: Path, *words: str, compose: str = _COMPOSE) -> set[str]:
    """Return the modules that a command line leaves imported."""
    (directory / "compose.yaml").write_text(compose)
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *words],
        cwd=directory,
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": _ROOT,
            "ORCHESTRA_DATA": str(directory / "data"),
            "ORCHESTRA_RUN": str(directory / "run"),
            "ORCHESTRA_CONFIG": str(directory / "config"),
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    found: list[str] = json.loads(done.stdout.splitlines()[-1])
    return set(found)


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("version",), ("up", "--help")])
def test_what_answers_by_itself_imports_next_to_nothing(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    found = modules(tmp_path, *words)
    assert found.isdisjoint(_BARE)
    assert "orchestra" in found


@pytest.mark.parametrize(
    "words",
    [("ps",), ("logs",), ("exec", "-T", "web", "true"), ("stop",), ("start",), ("ls",), ("kill",)],
    ids=lambda words: words[0],
)
def test_everyday_commands_import_nothing_heavy(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert modules(tmp_path, *words).isdisjoint(_HEAVY | {"typer"})


@pytest.mark.parametrize("words", [("plan",), ("config",)], ids=lambda words: words[0])
def test_plan_and_config_pay_for_the_model_alone(tmp_path: Path, words: tuple[str, ...]) -> None:
    found = modules(tmp_path, *words)
    assert "pydantic" in found
    assert found.isdisjoint(_HEAVY - {"pydantic"} | {"typer"})


def test_a_plan_does_not_look_for_pydantics_plugins(tmp_path: Path) -> None:
    assert "importlib.metadata._adapters" not in all_modules(tmp_path, "plan")


_RARE = frozenset(
    f"orchestra.spec.model.{name}" for name in ("deploy", "develop", "files", "hook", "limits")
)
_WRITING = frozenset({"orchestra.spec.render", "orchestra.spec.emitter"})


@pytest.mark.parametrize("words", [("config", "-q"), ("plan",)], ids=" ".join)
def test_loading_imports_no_model_that_the_file_does_not_use(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    found = all_modules(tmp_path, *words)
    assert "orchestra.spec.model.service" in found
    # compiling a project knows the kinds of files, limits and hooks by their classes
    unused = _RARE if words[0] == "config" else {"orchestra.spec.model.develop"}
    assert found.isdisjoint(unused | _WRITING)


@pytest.mark.parametrize(
    ("attribute", "module"),
    [
        ("deploy: {replicas: 2}", "deploy"),
        ("develop: {watch: [{path: ., action: rebuild}]}", "develop"),
        ("post_start: [{command: [a]}]", "hook"),
        ("ulimits: {nofile: 9}", "limits"),
    ],
)
def test_a_model_is_imported_for_the_attribute_that_needs_it(
    tmp_path: Path, attribute: str, module: str
) -> None:
    compose = f"services: {{web: {{image: busybox, {attribute}}}}}\n"
    found = all_modules(tmp_path, "config", "-q", compose=compose)
    assert f"orchestra.spec.model.{module}" in found


def test_config_imports_what_it_writes_with_and_nothing_of_the_packages_around_it(
    tmp_path: Path,
) -> None:
    found = all_modules(tmp_path, "config")
    assert found >= _WRITING
    assert found.isdisjoint({"email", "zipfile", "importlib.metadata._meta", "asyncio", "anyio"})
    around = {name for name in found if name.startswith(("orchestra.engine", "orchestra.planner"))}
    memory = {"paths", "state", "state.memo", "linux", "linux.directories"}
    assert around == {"orchestra.engine", *(f"orchestra.engine.{name}" for name in memory)}


def test_a_project_that_is_known_needs_no_model(tmp_path: Path) -> None:
    for words in (("config",), ("config", "--services"), ("plan",)):
        assert "pydantic" in modules(tmp_path, *words)
        assert "pydantic" not in modules(tmp_path, *words)


def test_an_up_with_nothing_to_do_needs_no_event_loop(tmp_path: Path) -> None:
    compose = "services: {web: {image: busybox, network_mode: none, scale: 0}}\n"
    for words in (("up", "-d"), ("up", "-d", "--no-deps", "web")):
        all_modules(tmp_path, *words, compose=compose)
        found = all_modules(tmp_path, *words, compose=compose)
        assert found.isdisjoint(_HEAVY | {"anyio", "asyncio", "pydantic", "shutil", "_ssl"})
    assert (tmp_path / f"data/projects/{tmp_path.name.lower()}/desired.json").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("ps",),
        ("ps", "-a"),
        ("ls",),
        ("images",),
        ("image", "ls"),
        ("image", "inspect", "x"),
        ("history", "x"),
        ("tag", "x", "y"),
        ("save", "x"),
    ],
    ids=" ".join,
)
def test_what_only_reads_records_needs_no_event_loop(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    assert modules(tmp_path, *words).isdisjoint(_HEAVY | {"anyio", "asyncio"})


def test_ps_imports_what_it_shows_alone(tmp_path: Path) -> None:
    found = all_modules(tmp_path, "ps")
    assert found.isdisjoint(
        {"ctypes", "hashlib", "socket", "subprocess", "orchestra.spec.discovery"}
    )
    assert "orchestra.engine.shim.protocol" not in found
    assert len({name for name in found if name.startswith("orchestra")}) < 57


_PLAIN_EXEC = """
import os, sys
before = set(sys.modules)
import orchestra.__main__
import orchestra.cli.app
orchestra.cli.app._read(["exec", "-T", "web", "true"])
import orchestra.engine.plainly, orchestra.spec.plain_project
print(*set(sys.modules) - before)
"""


_SMALL = frozenset(
    {"__future__", "_json", "_operator", "_signal", "_socket", "errno", "gc", "select"}
)


def test_an_exec_that_is_as_usual_imports_next_to_nothing() -> None:
    found = _bare(_PLAIN_EXEC)
    ours = {name for name in found if name.partition(".")[0] == "orchestra"}
    assert found - ours <= _SMALL
    assert len(ours) < 32


def _bare(probe: str) -> set[str]:
    """Return the modules that a program imports where no site is."""
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-c",
            f"import sys; sys.path.insert(0, {_ROOT!r}){probe}",
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return set(done.stdout.split())


_PLAIN_RUN = """
import os, sys
before = set(sys.modules)
import orchestra.__main__
import orchestra.cli.app
orchestra.cli.app._read(["run", "--rm", "-T", "web", "true"])
import orchestra.engine.plainly, orchestra.spec.plain_identity, orchestra.engine.container.run_plain
print(*set(sys.modules) - before)
"""


def test_a_run_that_is_as_usual_imports_next_to_nothing() -> None:
    found = _bare(_PLAIN_RUN)
    ours = {name for name in found if name.partition(".")[0] == "orchestra"}
    assert found - ours <= _SMALL | {"_sha2", "_sha256"}
    assert len(ours) < 40


_PLAIN_BUILD = """
import os, sys
before = set(sys.modules)
import orchestra.__main__
import orchestra.cli.app
orchestra.cli.app._read({words!r})
import orchestra.cli.plain_builds, orchestra.engine.glancing
print(*set(sys.modules) - before)
"""


@pytest.mark.parametrize("words", [["build"], ["image", "build", "-t", "x", "."]], ids=" ".join)
def test_a_build_that_is_known_by_a_glance_imports_next_to_nothing(words: list[str]) -> None:
    found = _bare(_PLAIN_BUILD.format(words=words))
    ours = {name for name in found if name.partition(".")[0] == "orchestra"}
    hashing = {"_sha2", "_sha256", "_struct", "struct"}
    assert found - ours <= _SMALL | hashing | {"fcntl", "time"}
    assert len(ours) < 26


_GOING_ON = """
import orchestra.engine.local.continued, orchestra.engine.state.lock, orchestra.engine.image.layer
print(*set(sys.modules) - before)
"""


def test_a_build_of_which_a_file_changed_imports_what_copies_and_packs() -> None:
    begin = _PLAIN_BUILD.format(words=["build"]).rpartition("print")[0]
    found = _bare(begin + _GOING_ON)
    ours = {name for name in found if name.partition(".")[0] == "orchestra"}
    assert found.isdisjoint(
        {"hashlib", "_hashlib", "datetime", "csv", "signal", "threading", "logging", "tempfile"}
    )
    assert not [name for name in ours if name.startswith(("orchestra.planner", "orchestra.spec"))]
    assert len(ours) < 84
    assert len(found) < 138
