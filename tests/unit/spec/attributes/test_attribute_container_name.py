"""services.*.container_name (compose-spec 05-services.md, container_name)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.container_name"

CASES = (
    Case("name", "container_name: my-web_1.a", "my-web_1.a"),
    Case("unset", "tty: true", ABSENT),
    Case("variable", "container_name: '${STAGE}-web'", "dev-web", env={"STAGE": "dev"}),
    Case("project", "container_name: '${COMPOSE_PROJECT_NAME}-web'", "orc-web"),
    Case("merged", "container_name: aa", "bb", over="container_name: bb"),
    Case("reset", "container_name: aa", ABSENT, over="container_name: !reset null"),
    Case("one-replica", "container_name: aa\nscale: 1", "aa"),
    Case("two-letters", "container_name: 'Ab'", "Ab"),
)

WRONG = (
    Wrong(
        "number",
        "container_name: 7",
        "expected text, not a number",
        place="4:5",
        hint="put it in quotes",
    ),
    Wrong("list", "container_name: [a]", "expected text, not a list"),
    Wrong(
        "one-letter",
        "container_name: a",
        '"a" is no name for a container',
        place="4:5",
        hint="use two or more letters, digits, _ . or -, beginning with a letter or digit",
    ),
    Wrong("only-signs", "container_name: -_.", '"-_." is no name for a container'),
    Wrong("blank-inside", "container_name: a b", '"a b" is no name for a container'),
    Wrong(
        "slash",
        "container_name: aa/bb",
        '"aa/bb" is no name for a container',
        ours="its engine refuses the name later",
    ),
    Wrong(
        "umlaut",
        "container_name: möbel",
        '"möbel" is no name for a container',
        ours="its engine refuses the name later",
    ),
    Wrong(
        "several",
        "container_name: aa\nscale: 2",
        "one name cannot serve 2 containers",
        place="4:5",
        hint="drop container_name or run one replica",
    ),
    Wrong(
        "several-replicas",
        "container_name: aa\ndeploy: {replicas: 3}",
        "one name cannot serve 3 containers",
        place="4:5",
    ),
    Wrong(
        "twice",
        """
        services:
          a: {image: a, container_name: same}
          b: {image: b, container_name: same}
        """,
        'service "a" has this container_name too',
        place="3:17",
        hint="name one otherwise",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_container_name(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_container_name_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
