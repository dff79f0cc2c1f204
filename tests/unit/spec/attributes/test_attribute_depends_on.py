"""services.*.depends_on (compose-spec 05-services.md, depends_on)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.depends_on"


def among(depends_on: str) -> str:
    """Return a project whose "web" depends so; "db" and "cache" are there, "debug" by profile."""
    return f"""
services:
  web: {{image: a, depends_on: {depends_on}}}
  db: {{image: b}}
  cache: {{image: c}}
  debug: {{image: d, profiles: [debug]}}
"""


CASES = (
    Case(
        "list",
        among("[db, cache]"),
        {
            "cache": {"condition": "service_started", "required": True},
            "db": {"condition": "service_started", "required": True},
        },
    ),
    Case(
        "started",
        among("{db: {condition: service_started}}"),
        {"db": {"condition": "service_started", "required": True}},
    ),
    Case(
        "healthy",
        among("{db: {condition: service_healthy}}"),
        {"db": {"condition": "service_healthy", "required": True}},
    ),
    Case(
        "completed",
        among("{db: {condition: service_completed_successfully}}"),
        {"db": {"condition": "service_completed_successfully", "required": True}},
    ),
    Case(
        "restart",
        among("{db: {condition: service_healthy, restart: true}}"),
        {"db": {"condition": "service_healthy", "restart": True, "required": True}},
    ),
    Case(
        "restart-text",
        among("{db: {condition: service_started, restart: 'true'}}"),
        {"db": {"condition": "service_started", "restart": True, "required": True}},
    ),
    Case(
        "restart-false",
        among("{db: {condition: service_started, restart: false}}"),
        {"db": {"condition": "service_started", "required": True}},
    ),
    Case(
        "optional",
        among("{db: {condition: service_started, required: false}}"),
        {"db": {"condition": "service_started", "required": False}},
    ),
    Case(
        "optional-variable",
        among("{db: {condition: service_started, required: '${R}'}}"),
        {"db": {"condition": "service_started", "required": False}},
        env={"R": "no"},
    ),
    Case(
        "completed-by-second",
        among("[db]"),
        {"db": {"condition": "service_started", "restart": True, "required": True}},
        over="depends_on: {db: {restart: true}}",
    ),
    Case(
        "extension",
        among("{db: {condition: service_started, x-why: a}}"),
        {"db": {"condition": "service_started", "required": True}},
    ),
    Case(
        "condition-variable",
        among("{db: {condition: 'service_${STATE:-healthy}'}}"),
        {"db": {"condition": "service_healthy", "required": True}},
    ),
    Case(
        "list-variable",
        among("['${DB}']"),
        {"db": {"condition": "service_started", "required": True}},
        env={"DB": "db"},
    ),
    Case("empty-list", among("[]"), ABSENT),
    Case("empty", among("{}"), ABSENT),
    Case(
        "inactive-optional",
        among("{debug: {condition: service_started, required: false}}"),
        {"debug": {"condition": "service_started", "required": False}},
    ),
    Case(
        "by-profile",
        among("[debug]"),
        {"debug": {"condition": "service_started", "required": True}},
        profiles=("debug",),
    ),
    Case(
        "merged",
        among("[db]"),
        {
            "cache": {"condition": "service_started", "required": True},
            "db": {"condition": "service_started", "required": True},
        },
        over="depends_on: [cache]",
    ),
    Case(
        "merged-forms",
        among("[db]"),
        {"db": {"condition": "service_healthy", "required": True}},
        over="depends_on: {db: {condition: service_healthy}}",
    ),
    Case(
        "merged-forms-back",
        among("{db: {condition: service_healthy, restart: true}}"),
        {
            "cache": {"condition": "service_started", "required": True},
            "db": {"condition": "service_started", "restart": True, "required": True},
        },
        over="depends_on: [db, cache]",
    ),
    Case(
        "overridden",
        among("[db]"),
        {"cache": {"condition": "service_started", "required": True}},
        over="depends_on: !override [cache]",
    ),
    Case("reset", among("[db, cache]"), ABSENT, over="depends_on: !reset []"),
    Case(
        "reset-one",
        among("{db: {condition: service_healthy}, cache: {condition: service_started}}"),
        {"cache": {"condition": "service_started", "required": True}},
        over="depends_on: {db: !reset null}",
    ),
    Case(
        "implied-by-network-mode",
        among("[cache]"),
        {
            "cache": {"condition": "service_started", "required": True},
            "db": {"condition": "service_started", "restart": True, "required": True},
        },
        over="network_mode: service:db",
    ),
    Case(
        "implied-by-ipc",
        among("[]"),
        {"db": {"condition": "service_started", "restart": True, "required": True}},
        over="ipc: service:db",
    ),
    Case(
        "said-and-implied",
        among("{db: {condition: service_healthy}}"),
        {"db": {"condition": "service_healthy", "required": True}},
        over="ipc: service:db",
    ),
)

WRONG = (
    Wrong(
        "unknown",
        among("[dbb]"),
        'no service "dbb" in this project',
        place="2:32",
        hint='did you mean "db"?',
    ),
    Wrong(
        "unknown-long",
        among("{nothing: {condition: service_started}}"),
        'no service "nothing" in this project',
        place="2:32",
        hint="define services.nothing (services here: cache, db, debug, web)",
    ),
    Wrong(
        "itself",
        among("[web]"),
        "services wait for each other in a circle: web -> web",
        place="2:32",
    ),
    Wrong(
        "circle",
        """
        services:
          a: {image: a, depends_on: [b]}
          b: {image: b, depends_on: [c]}
          c: {image: c, depends_on: [a]}
        """,
        "services wait for each other in a circle: a -> b -> c -> a",
        place="2:30",
        hint="break it",
    ),
    Wrong(
        "inactive",
        among("[debug]"),
        'service "debug" is not active',
        place="2:32",
        hint="activate one of its profiles (debug), or set required: false",
    ),
    Wrong(
        "text",
        among("db"),
        "expected a mapping or a list of names, not text",
        place="2:19",
        hint="begin each name with a dash, or put them in brackets",
    ),
    Wrong("number-in-list", among("[1]"), "expected a name, not a number", place="2:32"),
    Wrong(
        "mapping-in-list",
        among("[{db: {condition: service_started}}]"),
        "expected a name, not a mapping",
        place="2:32",
        hint="write a name alone, or all as NAME: ... without dashes",
    ),
    Wrong(
        "null",
        among("{db: }"),
        "expected a mapping, not nothing",
        place="2:32",
        hint="write condition: service_started below it",
    ),
    Wrong(
        "text-entry",
        among("{db: service_healthy}"),
        "expected a mapping, not text",
        place="2:32",
        hint="write condition: service_started below it",
    ),
    Wrong(
        "condition-near",
        among("{db: {condition: service_helthy}}"),
        'expected "service_started", "service_healthy" or "service_completed_successfully"',
        place="2:37",
        hint='did you mean "service_healthy"?',
    ),
    Wrong(
        "condition-missing",
        among("{db: {restart: true}}"),
        '"condition" is missing',
        place="2:32",
        hint="write condition here",
    ),
    Wrong(
        "unknown-key",
        among("{db: {condition: service_started, requierd: true}}"),
        'unknown key "requierd"',
        place="2:65",
        hint='did you mean "required"?',
    ),
    Wrong(
        "restart-word",
        among("{db: {condition: service_started, restart: always}}"),
        "expected true or false, not text",
        place="2:65",
        hint="write true or false",
    ),
    Wrong(
        "required-number",
        among("{db: {condition: service_started, required: 1}}"),
        "expected true or false, not a number",
    ),
    Wrong(
        "repeated", among("[db, db]"), "the list holds this twice", place="2:36", hint="keep one"
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_depends_on(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_depends_on_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
