"""services.*.external_links (compose-spec 05-services.md, external_links)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.external_links"

CASES = (
    Case(
        "list",
        "external_links: [redis, 'database:mysql', 'database:postgresql']",
        ["redis", "database:mysql", "database:postgresql"],
    ),
    Case("empty", "external_links: []", ABSENT),
    Case("variable", "external_links: ['${DB}:db']", ["other_db_1:db"], env={"DB": "other_db_1"}),
    Case("appended", "external_links: [a]", ["a", "b"], over="external_links: [b]"),
    Case("once", "external_links: [a, b]", ["a", "b"], over="external_links: [a]"),
    Case("overridden", "external_links: [a]", ["b"], over="external_links: !override [b]"),
    Case("reset", "external_links: [a]", ABSENT, over="external_links: !reset []"),
)

WRONG = (
    Wrong(
        "text",
        "external_links: redis",
        "expected a list, not text",
        place="4:5",
        hint="begin each item with a dash, or put them in brackets",
    ),
    Wrong("mapping", "external_links: {redis: cache}", "expected a list, not a mapping"),
    Wrong(
        "number",
        "external_links: [1]",
        "expected text, not a number",
        place="4:22",
        hint="put it in quotes",
    ),
    Wrong(
        "repeated",
        "external_links: [a, a]",
        "the list holds this twice",
        place="4:25",
        hint="keep one",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_external_links(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_external_links_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
