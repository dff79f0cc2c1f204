"""services.*.build.additional_contexts (compose-spec build.md, additional_contexts)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.build.additional_contexts"


def contexts(written: str) -> str:
    """Return a project whose "web" is built with these contexts; "base" is built, "bought" not."""
    return f"""
services:
  web: {{build: {{context: ., additional_contexts: {written}}}}}
  base: {{build: ./base}}
  bought: {{image: a}}
"""


CASES = (
    Case(
        "list",
        contexts("[resources=/path/to/resources, app=docker-image://my-app:latest]"),
        {"app": "docker-image://my-app:latest", "resources": "/path/to/resources"},
    ),
    Case(
        "mapping",
        contexts("{source: https://github.com/myuser/project.git, app: 'oci-layout://x'}"),
        {"app": "oci-layout://x", "source": "https://github.com/myuser/project.git"},
    ),
    Case(
        "relative",
        contexts("{a: ./a, b: a/../b, c: d}"),
        {"a": "$HERE/a", "b": "$HERE/b", "c": "$HERE/d"},
    ),
    Case("relative-in-list", contexts("[a=./a]"), {"a": "$HERE/a"}),
    Case("home", contexts("{a: ~/a}"), {"a": "/home/orc/a"}),
    Case("service", contexts("{base: 'service:base'}"), {"base": "service:base"}),
    Case("empty", contexts("{}"), ABSENT),
    Case("variable", contexts("{a: '${DIR}/x'}"), {"a": "$HERE/b/x"}, env={"DIR": "./b"}),
    Case(
        "merged",
        contexts("{a: ./a, b: ./b}"),
        {"a": "$HERE/a", "b": "$HERE/c"},
        over="build: {additional_contexts: {b: ./c}}",
    ),
    Case(
        "merged-forms",
        contexts("[a=./a]"),
        {"a": "$HERE/b", "c": "$HERE/c"},
        over="build: {additional_contexts: {a: ./b, c: ./c}}",
    ),
    Case("reset", contexts("{a: ./a}"), ABSENT, over="build: {additional_contexts: !reset null}"),
)

WRONG = (
    Wrong(
        "text",
        contexts("a=b"),
        "expected a mapping or a list of KEY=VALUE, not text",
        place="2:29",
        hint="write KEY: VALUE below it",
    ),
    Wrong(
        "nested",
        contexts("{a: {b: c}}"),
        "expected text or a number, not a mapping",
        place="2:51",
        hint="a value is one line of text: put it in quotes",
    ),
    Wrong(
        "no-such-service",
        contexts("{a: 'service:bsae'}"),
        'no service "bsae" in this project',
        place="2:51",
        hint='did you mean "base"?',
    ),
    Wrong(
        "not-built",
        contexts("{a: 'service:bought'}"),
        'service "bought" has no build',
        place="2:51",
        hint="give it one",
    ),
    Wrong(
        "number-in-list",
        contexts("[1]"),
        "expected KEY=VALUE, not a number",
        hint="write each as KEY=VALUE, or all as KEY: VALUE without dashes",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_build_additional_contexts(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_build_additional_contexts_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
