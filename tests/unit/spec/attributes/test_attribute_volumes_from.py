"""services.*.volumes_from (compose-spec 05-services.md, volumes_from)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.volumes_from"

SHARED = """
services:
  web: {image: a, volumes_from: [db, "cache:ro", "container:x:rw"]}
  db: {image: b}
  cache: {image: c}
"""

CASES = (
    Case("forms", SHARED, ["db", "cache:ro", "container:x:rw"]),
    Case(
        "depends",
        SHARED,
        {
            "cache": {"condition": "service_started", "required": True},
            "db": {"condition": "service_started", "required": True},
        },
        key="services.*.depends_on",
    ),
    Case("container", "volumes_from: ['container:a']", ["container:a"]),
    Case("container-alone", "volumes_from: ['container:a']", ABSENT, key="services.*.depends_on"),
    Case(
        "two-ways",
        "volumes_from: ['container:a', 'container:a:ro']",
        ["container:a", "container:a:ro"],
    ),
    Case("empty", "volumes_from: []", ABSENT),
    Case("null", "volumes_from:", ABSENT, ours=NULL),
    Case("variable", "volumes_from: ['container:${C}']", ["container:c"], env={"C": "c"}),
    Case(
        "over",
        "volumes_from: ['container:a']",
        ["container:a", "container:b"],
        over="volumes_from: ['container:b', 'container:a']",
    ),
    Case(
        "override",
        "volumes_from: ['container:a']",
        ["container:b"],
        over="volumes_from: !override ['container:b']",
    ),
    Case("reset", "volumes_from: ['container:a']", ABSENT, over="volumes_from: !reset []"),
)

WRONG = (
    Wrong("text", "volumes_from: db", "expected a list, not text", place="4:5", hint="dash"),
    Wrong("number", "volumes_from: [1]", "expected text, not a number", place="4:20"),
    Wrong("mapping", "volumes_from: {db: ro}", "expected a list, not a mapping"),
    Wrong(
        "twice",
        "volumes_from: ['container:a', 'container:a']",
        "the list holds this twice",
        place="4:35",
    ),
    Wrong(
        "unknown",
        "volumes_from: ['container:a', nope]",
        'no service "nope" in this project',
        place="4:35",
        hint="define services.nope (services here: web)",
    ),
    Wrong("itself", "volumes_from: [web]", "circle: web -> web", place="4:20", hint="break it"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_volumes_from(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_volumes_from_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
