"""services.*.links (compose-spec 05-services.md, links)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.links"


def linked(links: str) -> str:
    """Return a project whose "web" has these links; "db" and "redis" are there."""
    return f"""
services:
  web: {{image: a, links: {links}}}
  db: {{image: b}}
  redis: {{image: c}}
"""


CASES = (
    Case("names", linked("[db, redis]"), ["db", "redis"]),
    Case("alias", linked("['db:database']"), ["db:database"]),
    Case("several-aliases", linked("['db:a', 'db:b', db]"), ["db:a", "db:b", "db"]),
    Case(
        "imply-dependencies",
        linked("['db:database']"),
        {"db": {"condition": "service_started", "restart": True, "required": True}},
        key="services.web.depends_on",
    ),
    Case("empty", linked("[]"), ABSENT),
    Case("repeated", linked("[db, db]"), ["db"]),
    Case("variable", linked("['${DB}:x']"), ["db:x"], env={"DB": "db"}),
    Case("appended", linked("[db]"), ["db", "redis"], over="links: [redis]"),
    Case("once", linked("[db, redis]"), ["db", "redis"], over="links: [db]"),
    Case("overridden", linked("[db]"), ["redis"], over="links: !override [redis]"),
    Case("reset", linked("[db]"), ABSENT, over="links: !reset []"),
)

WRONG = (
    Wrong(
        "unknown",
        linked("[bd]"),
        'no service "bd" in this project',
        place="2:27",
        hint="define services.bd (services here: db, redis, web)",
    ),
    Wrong(
        "unknown-with-alias",
        linked("['nothing:x']"),
        'no service "nothing" in this project',
        hint="define services.nothing (services here: db, redis, web)",
    ),
    Wrong(
        "text",
        linked("db"),
        "expected a list, not text",
        place="2:19",
        hint="begin each item with a dash, or put them in brackets",
    ),
    Wrong("mapping", linked("{db: database}"), "expected a list, not a mapping"),
    Wrong(
        "number",
        linked("[1]"),
        "expected text, not a number",
        place="2:27",
        hint="put it in quotes",
    ),
    Wrong(
        "itself",
        linked("[web]"),
        "services wait for each other in a circle: web -> web",
        place="2:27",
        hint="break it",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_links(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_links_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
