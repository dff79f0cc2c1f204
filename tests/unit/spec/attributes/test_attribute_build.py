"""services.*.build (compose-spec build.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.build"

CASES = (
    Case("text", "build: ./dir", {"context": "$HERE/dir", "dockerfile": "Dockerfile"}),
    Case("here", "build: .", {"context": "$HERE", "dockerfile": "Dockerfile"}),
    Case("absolute", "build: /srv/app", {"context": "/srv/app", "dockerfile": "Dockerfile"}),
    Case("home", "build: ~/custom", {"context": "/home/orc/custom", "dockerfile": "Dockerfile"}),
    Case(
        "url",
        "build: https://github.com/mycompany/example.git#branch_or_tag:subdirectory",
        {
            "context": "https://github.com/mycompany/example.git#branch_or_tag:subdirectory",
            "dockerfile": "Dockerfile",
        },
    ),
    Case(
        "mapping",
        "build: {context: ./dir, dockerfile: D}",
        {"context": "$HERE/dir", "dockerfile": "D"},
    ),
    Case("empty", "build: {}", {"context": "$HERE", "dockerfile": "Dockerfile"}),
    Case(
        "extension", "build: {context: ., x-a: b}", {"context": "$HERE", "dockerfile": "Dockerfile"}
    ),
    Case(
        "variable",
        "build: ./${DIR}",
        {"context": "$HERE/a", "dockerfile": "Dockerfile"},
        env={"DIR": "a"},
    ),
    Case(
        "merged",
        "build: {context: a, dockerfile: D}",
        {"context": "$HERE/b", "dockerfile": "D", "target": "t"},
        over="build: {context: b, target: t}",
    ),
    Case(
        "merged-forms",
        "build: a",
        {"context": "$HERE/a", "dockerfile": "Dockerfile", "target": "t"},
        over="build: {target: t}",
    ),
    Case(
        "merged-forms-back",
        "build: {context: a, target: t}",
        {"context": "$HERE/b", "dockerfile": "Dockerfile", "target": "t"},
        over="build: b",
    ),
    Case(
        "overridden",
        "build: {context: a, target: t}",
        {"context": "$HERE/b", "dockerfile": "Dockerfile"},
        over="build: !override {context: b}",
    ),
    Case("reset", "build: a", ABSENT, over="build: !reset null"),
)

WRONG = (
    Wrong(
        "number",
        "build: 3",
        "expected a path or a mapping, not a number",
        place="4:5",
        hint="write a path, or a mapping with context",
    ),
    Wrong(
        "list",
        "build: [.]",
        "expected a path or a mapping, not a list",
        place="4:5",
        hint="write a path, or a mapping with context",
    ),
    Wrong(
        "unknown",
        "build:\n  contxt: .",
        'unknown key "contxt"',
        place="5:7",
        hint='did you mean "context"?',
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_build(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_build_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
