"""services.*.build.context (compose-spec build.md, context, dockerfile, dockerfile_inline, target)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import Case, Wrong, check, check_wrong

KEY = "services.*.build.context"
COVERS = (
    "services.*.build.dockerfile",
    "services.*.build.dockerfile_inline",
    "services.*.build.target",
)

BUILD = "services.*.build"
DOCKERFILE = "services.*.build.dockerfile"
INLINE = "services.*.build.dockerfile_inline"
TARGET = "services.*.build.target"

CASES = (
    Case("relative", "build: {context: ./dir}", "$HERE/dir"),
    Case("bare", "build: {context: dir/../other}", "$HERE/other"),
    Case("parent", "build: {context: a/..}", "$HERE"),
    Case("absolute", "build: {context: /srv/app}", "/srv/app"),
    Case("home", "build: {context: ~/app}", "/home/orc/app"),
    Case("default", "build: {target: a}", "$HERE"),
    Case("empty", "build: {context: ''}", "$HERE", ours="it shows no context at all"),
    Case(
        "https",
        "build: {context: 'https://github.com/mycompany/webapp.git'}",
        "https://github.com/mycompany/webapp.git",
    ),
    Case(
        "ssh",
        "build: {context: 'git@github.com:mycompany/webapp.git'}",
        "git@github.com:mycompany/webapp.git",
    ),
    Case("git", "build: {context: 'git://example.com/a.git#main'}", "git://example.com/a.git#main"),
    Case(
        "github-short",
        "build: {context: github.com/mycompany/webapp}",
        "github.com/mycompany/webapp",
    ),
    Case("variable", "build: {context: '${DIR:-./a}'}", "$HERE/a"),
    Case("merged", "build: {context: a}", "$HERE/b", over="build: {context: b}"),
    Case(
        "dockerfile", "build: {dockerfile: webapp.Dockerfile}", "webapp.Dockerfile", key=DOCKERFILE
    ),
    Case("dockerfile-default", "build: .", "Dockerfile", key=DOCKERFILE),
    Case(
        "dockerfile-parent",
        "build: {context: a, dockerfile: ../b.Dockerfile}",
        "../b.Dockerfile",
        key=DOCKERFILE,
    ),
    Case(
        "dockerfile-absolute",
        "build: {dockerfile: /srv/Dockerfile}",
        "/srv/Dockerfile",
        key=DOCKERFILE,
    ),
    Case(
        "inline",
        "build:\n  dockerfile_inline: |\n    FROM baseimage\n    RUN some command",
        "FROM baseimage\nRUN some command\n",
        key=INLINE,
    ),
    Case(
        "inline-variable",
        "build: {dockerfile_inline: 'FROM ${A}$$B'}",
        "FROM a$$B",
        key=INLINE,
        env={"A": "a"},
    ),
    Case(
        "inline-alone",
        "build: {dockerfile_inline: FROM a}",
        {"context": "$HERE", "dockerfile_inline": "FROM a"},
        key=BUILD,
    ),
    Case("target", "build: {target: prod}", "prod", key=TARGET),
    Case("target-merged", "build: {target: prod}", "dev", key=TARGET, over="build: {target: dev}"),
)

WRONG = (
    Wrong(
        "context-number",
        "build: {context: 1}",
        "expected text, not a number",
        place="4:13",
        hint="put it in quotes",
    ),
    Wrong("context-list", "build: {context: [.]}", "expected text, not a list"),
    Wrong(
        "dockerfile-mapping",
        "build: {dockerfile: {a: b}}",
        "expected text, not a mapping",
        place="4:13",
        hint="put it in quotes",
    ),
    Wrong("inline-list", "build: {dockerfile_inline: [FROM a]}", "expected text, not a list"),
    Wrong(
        "both",
        "build: {dockerfile: D, dockerfile_inline: FROM a}",
        "dockerfile and dockerfile_inline exclude each other",
        place="4:28",
        hint="keep one",
    ),
    Wrong(
        "target-number",
        "build: {target: 1}",
        "expected text, not a number",
        place="4:13",
        hint="put it in quotes",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_build_context(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_build_context_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
