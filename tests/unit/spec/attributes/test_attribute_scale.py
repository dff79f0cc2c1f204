"""services.*.scale (compose-spec 05-services.md, scale)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.scale"

CASES = (
    Case("number", "scale: 2", 2),
    Case("zero", "scale: 0", 0),
    Case("text", "scale: '2'", 2),
    Case("point", "scale: 2.0", 2),
    Case("variable", "scale: '${N}'", 3, env={"N": "3"}),
    Case("null", "scale:", ABSENT, ours=NULL),
    Case("over", "scale: 1", 0, over="scale: 0"),
    Case("reset", "scale: 1", ABSENT, over="scale: !reset null"),
    Case(
        "fills-replicas",
        """
        scale: 2
        deploy: {mode: replicated}
        """,
        2,
        key="services.*.deploy.replicas",
    ),
    Case(
        "equal-replicas",
        """
        scale: 2
        deploy: {replicas: 2}
        """,
        2,
    ),
    Case(
        "one-named",
        """
        scale: 1
        container_name: only
        """,
        1,
    ),
)

WRONG = (
    Wrong("negative", "scale: -1", "expected at least 0", place="4:5", hint="greater"),
    Wrong("fraction", "scale: 1.5", "expected a whole number, not a fraction"),
    Wrong("word", "scale: lots", "expected a whole number, not text", hint="digits"),
    Wrong("bool", "scale: true", "expected a whole number, not true or false"),
    Wrong("list", "scale: [1]", "expected a whole number, not a list"),
    Wrong(
        "differs",
        """
        scale: 2
        deploy: {replicas: 3}
        """,
        "scale and deploy.replicas differ",
        place="4:5",
        hint="keep one",
    ),
    Wrong(
        "named",
        """
        scale: 2
        container_name: only
        """,
        "one name cannot serve 2 containers",
        place="5:5",
        hint="drop container_name or run one replica",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_scale(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_scale_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
