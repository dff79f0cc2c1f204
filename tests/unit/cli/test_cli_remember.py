"""What a project became is remembered: it is never another than what it would become now."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, cast

import pytest
from hypothesis import HealthCheck, given, settings
from support.projects import Tree, projects, write

from orchestra.cli.remember import remembered
from orchestra.engine.state.codec import Json, decode, encode
from orchestra.engine.state.memo import Memo
from orchestra.errors import SpecErrors
from orchestra.planner.compile import compile_project
from orchestra.planner.desired import DesiredState
from orchestra.spec.loader import LoadOptions, load, load_project, render_project
from orchestra.spec.tree import Value

COMPOSE = """\
services:
  web:
    image: "busybox:${TAG:-1}"
    command: ["true"]
    env_file: [{path: app.env, required: false}]
    label_file: app.labels
    environment: {OWN: own}
    volumes: [{type: bind, source: ., target: /a, tmpfs: {size: 1}}]
    depends_on: [db]
  db: {image: redis, scale: 2}
  spare: {image: redis, profiles: [extra]}
"""
_PROBE = """
import json, sys
from orchestra.__main__ import answer
code = answer(sys.argv[1:])
sys.stdout.flush()
print(json.dumps(["pydantic" in sys.modules, code]), file=sys.stderr)
"""


class Said(NamedTuple):
    out: str
    err: str
    made: bool
    """Whether the model was needed."""
    code: int


class Shop:
    """A project in a directory of its own, with a memory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.variables: dict[str, str] = {}
        self.write("compose.yaml", COMPOSE)
        self.write("app.env", "A=1\n")
        self.write("app.labels", "x=y\n")

    @property
    def memory(self) -> Path:
        return self.directory / "data" / "memo"

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)

    def __call__(self, *words: str) -> Said:
        done = subprocess.run(
            [sys.executable, "-c", _PROBE, *words],
            cwd=self.directory,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": str(Path(__file__).parents[3]),
                "ORCHESTRA_DATA": str(self.directory / "data"),
                "ORCHESTRA_RUN": str(self.directory / "run"),
                "ORCHESTRA_CONFIG": str(self.directory / "config"),
                **self.variables,
            },
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        )
        *err, last = done.stderr.splitlines()
        made, code = json.loads(last)
        return Said(done.stdout, "\n".join(err), made, code)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ("config",), ("config", "--format", "json"), ("config", "-q"), ("config", "web"),
        ("config", "--images"), ("config", "--profiles"), ("plan",), ("plan", "--scale", "web=3"),
    ],
    ids=" ".join,
)  # fmt: skip
def test_the_second_time_needs_no_model_and_says_the_same(
    shop: Shop, words: tuple[str, ...]
) -> None:
    first = shop(*words)
    assert first.made
    assert first.code == 0, first
    second = shop(*words)
    assert not second.made
    assert second == first._replace(made=False)


def _replaced(old: str, new: str) -> Callable[[Shop], None]:
    assert old in COMPOSE
    return lambda shop: shop.write("compose.yaml", COMPOSE.replace(old, new))


def _variable(name: str) -> Callable[[Shop], None]:
    return lambda shop: shop.variables.update({name: "new"})


def _written(name: str, text: str) -> Callable[[Shop], None]:
    return lambda shop: shop.write(name, text)


CHANGES: dict[str, Callable[[Shop], None]] = {
    "a value": _replaced("own}", "new}"),
    "a variable": _variable("TAG"),
    "an env file": _written("app.env", "A=new\n"),
    "an env file is gone": lambda shop: (shop.directory / "app.env").unlink(),
    "a label file": _written("app.labels", "x=new\n"),
    "an override file": _written("compose.override.yaml", "services: {db: {image: new}}\n"),
    "the .env file": _written(".env", "TAG=new\n"),
    "a profile": lambda shop: shop.variables.update({"COMPOSE_PROFILES": "extra"}),
    "the project's name": _variable("COMPOSE_PROJECT_NAME"),
    "a type": _replaced("OWN: own", "OWN: 1"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_counts(shop: Shop, change: str) -> None:
    before = shop("config")
    CHANGES[change](shop)
    after = shop("config")
    assert after.made
    assert after.out != before.out
    assert shop("config") == after._replace(made=False)


def test_variables_count_that_an_env_file_names(shop: Shop) -> None:
    shop.write("app.env", "A=${FROM_SHELL:-default}\nPASSED\n")
    shop("config")
    shop.variables["UNNAMED"] = "1"
    assert not shop("config").made
    for name in ("FROM_SHELL", "PASSED"):
        shop.variables[name] = f"is {name}"
        assert f"is {name}" in shop("config").out


def test_places_in_warnings_are_those_of_now(shop: Shop) -> None:
    for above in ("", "# more\n"):
        shop.write("compose.yaml", f"{above}{COMPOSE}")
        line = 8 + len(above.splitlines())
        for _ in range(2):
            said = shop("plan")
            assert f"compose.yaml:{line}:" in said.err
            assert said.code == 0
    assert not said.made


def test_what_is_wrong_is_told_each_time(shop: Shop) -> None:
    for wrong in (COMPOSE.replace("scale: 2", "scale: many"), COMPOSE.replace("[db]", "[bd]")):
        shop.write("compose.yaml", wrong)
        first, second = shop("config"), shop("config")
        assert first == second
        assert first.code != 0
    shop.write("compose.yaml", COMPOSE)
    shop("config")
    shop.write("app.env", "no name\n")
    assert shop("config").code != 0


def test_an_unknown_key_without_a_value_is_wrong_all_the_same(shop: Shop) -> None:
    assert shop("config").code == 0
    shop.write("compose.yaml", COMPOSE.replace("scale: 2}", "scale: 2, sacle: }"))
    assert "sacle" in shop("config").err
    shop.write("compose.yaml", COMPOSE)
    assert not shop("config").made


@pytest.mark.parametrize("service", ["build: {context: ., secrets: [t]}", "secrets: [t], image: x"])
def test_a_secret_out_of_a_variable_is_not_written_down(shop: Shop, service: str) -> None:
    shop.variables["TOKEN"] = "s3cr3t"
    shop.write(
        "compose.yaml",
        f"services: {{web: {{{service}}}}}\nsecrets: {{t: {{environment: TOKEN}}}}\n",
    )
    for _ in range(2):
        said = shop("plan")
        assert said.made
        assert said.code == 0, said.err
    found = shop.memory.iterdir() if shop.memory.exists() else ()
    assert not any(b"s3cr3t" in entry.read_bytes() for entry in found)


def test_the_oldest_make_room(tmp_path: Path) -> None:
    memo = Memo(tmp_path / "memo")
    for number in range(300):
        memo.put(f"{number:064x}", number)
        os.utime(tmp_path / "memo" / f"{number:064x}", (number, number))
    assert memo.get(f"{299:064x}") == 299
    assert memo.get(f"{0:064x}") is None
    assert len(list((tmp_path / "memo").iterdir())) <= 256
    memo.put("f" * 64, "x" * (17 << 20))
    assert memo.get("f" * 64) is None, "what is large is not kept"


def test_a_pipe_is_read_once(shop: Shop) -> None:
    (shop.directory / "app.env").unlink()
    os.mkfifo(shop.directory / "app.env")
    for text in ("first", "second"):
        pipe = os.open(shop.directory / "app.env", os.O_RDWR)
        os.write(pipe, f"A={text}\n".encode())
        writer = threading.Thread(target=_close_when_read, args=(pipe,))
        writer.start()
        said = shop("config")
        writer.join()
        assert f"A: {text}\n" in said.out
        assert said.made


def _close_when_read(pipe: int) -> None:
    deadline = time.monotonic() + 120
    while struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4)) != (0,):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.close(pipe)


@pytest.mark.parametrize("damage", ["cut", "changed", "other form", "gone"])
def test_a_damaged_memory_is_made_again(shop: Shop, damage: str) -> None:
    wanted = shop("plan").out
    (entry,) = shop.memory.iterdir()
    content = entry.read_bytes()
    match damage:
        case "cut":
            entry.write_bytes(content[:-9])
        case "changed":
            entry.write_bytes(content.replace(b"busybox", b"badimge"))
        case "other form":
            Memo(shop.memory).put(entry.name, {"warnings": [], "value": {"project": 3}})
        case _:
            entry.unlink()
    assert shop("plan").out == wanted
    assert shop("plan") == Said(wanted, shop("plan").err, made=False, code=0)


@pytest.mark.parametrize("wrong", ["others may write", "a link", "a file", "not ours"])
def test_a_memory_that_others_could_have_written_is_not_used(
    shop: Shop, wrong: str, tmp_path: Path
) -> None:
    shop("config")
    assert shop.memory.stat().st_mode & 0o777 == 0o700
    assert {entry.stat().st_mode & 0o777 for entry in shop.memory.iterdir()} == {0o600}
    match wrong:
        case "others may write":
            shop.memory.chmod(0o770)
        case "not ours" if os.geteuid() == 0:
            os.chown(shop.memory, 1234, 1234)
        case "not ours":
            pytest.skip("only root can give a directory away")
        case _:
            shop.memory.rename(tmp_path / "elsewhere")
            if wrong == "a link":
                shop.memory.symlink_to(tmp_path / "elsewhere")
            else:
                shop.memory.write_text("")
    assert shop("config").made
    assert shop("config").made


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(tree=projects())
def test_every_project_comes_back_as_it_was(tree: Tree) -> None:
    with TemporaryDirectory() as directory:
        place = Path(directory)
        secrets: Tree = {"token": {"file": "./token"}}  # one out of a variable is not remembered
        write({**tree, "secrets": secrets}, place / "compose.yaml")
        environment = {"ORCHESTRA_DATA": str(place / "data")}
        options = LoadOptions()
        project = load_project(options, environment, place)
        for _ in range(2):
            found, warnings, _ = remembered(
                load(options, environment, place),
                "whole",
                render_project,
                write=lambda tree: cast("Json", tree),
                read=lambda value: cast("dict[str, Value]", value),
                environment=environment,
            )
            assert found == render_project(project)
            assert list(found) == list(render_project(project))
            assert warnings == project.warnings
            _compare_states(options, environment, place)
        assert len(list((place / "data" / "memo").iterdir())) >= 1


def _compare_states(options: LoadOptions, environment: dict[str, str], place: Path) -> None:
    try:
        desired = compile_project(load_project(options, environment, place))
    except SpecErrors:  # not everything that is valid can run
        return
    found, _, _ = remembered(
        load(options, environment, place),
        "desired",
        compile_project,
        write=encode,
        read=lambda value: decode(DesiredState, value),
        environment=environment,
    )
    assert found == desired
