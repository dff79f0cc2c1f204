"""services.*.build.ssh (compose-spec build.md, ssh)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.build.ssh"

JSON = "it fails to write this as JSON"

CASES = (
    Case("default", "build: {ssh: [default]}", ["default"]),
    Case(
        "path",
        "build: {ssh: [myproject=~/.ssh/myproject.pem]}",
        ["myproject=/home/orc/.ssh/myproject.pem"],
        ours=JSON,
    ),
    Case("relative", "build: {ssh: [a=./key.pem]}", ["a=$HERE/key.pem"], ours=JSON),
    Case(
        "mapping",
        "build: {ssh: {default: , myproject: /keys/a.pem}}",
        ["default", "myproject=/keys/a.pem"],
        ours=JSON,
    ),
    Case("several", "build: {ssh: [default, b=/b, a=/a]}", ["a=/a", "b=/b", "default"], ours=JSON),
    Case("empty", "build: {ssh: []}", ABSENT),
    Case("variable", "build: {ssh: ['a=${KEY}']}", ["a=/k"], env={"KEY": "/k"}, ours=JSON),
    Case("reset", "build: {ssh: [default]}", ABSENT, over="build: {ssh: !reset []}"),
    Case(
        "appended",
        "build: {ssh: [default]}",
        ["a=/a", "default"],
        over="build: {ssh: [a=/a]}",
        ours="it has made a mapping of the first list by then",
    ),
)

WRONG = (
    Wrong(
        "text",
        "build: {ssh: default}",
        "expected a mapping or a list of KEY=VALUE, not text",
        place="4:13",
        hint="write KEY: VALUE below it",
    ),
    Wrong(
        "number-in-list",
        "build: {ssh: [1]}",
        "expected KEY=VALUE, not a number",
        place="4:19",
        hint="write each as KEY=VALUE, or all as KEY: VALUE without dashes",
    ),
    Wrong(
        "nested",
        "build: {ssh: {a: [b]}}",
        "expected text or a number, not a list",
        place="4:19",
        hint="a value is one line of text: put it in quotes",
    ),
    Wrong(
        "repeated",
        "build: {ssh: [default, default]}",
        "the list holds this twice",
        place="4:28",
        hint="keep one",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_build_ssh(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_build_ssh_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
