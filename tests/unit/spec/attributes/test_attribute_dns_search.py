"""services.*.dns_search (compose-spec 05-services.md, dns_search)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.dns_search"

CASES = (
    Case("text", "dns_search: example.com", ["example.com"]),
    Case(
        "list",
        "dns_search: [dc1.example.com, dc2.example.com]",
        ["dc1.example.com", "dc2.example.com"],
    ),
    Case("root", "dns_search: .", ["."]),
    Case("empty", "dns_search: []", ABSENT),
    Case("variable", "dns_search: ['${DC}.example.com']", ["dc1.example.com"], env={"DC": "dc1"}),
    Case(
        "appended",
        "dns_search: a.example",
        ["a.example", "b.example"],
        over="dns_search: [b.example]",
    ),
    Case(
        "once",
        "dns_search: [a.example, b.example]",
        ["a.example", "b.example"],
        over="dns_search: a.example",
    ),
    Case(
        "overridden", "dns_search: a.example", ["b.example"], over="dns_search: !override b.example"
    ),
    Case("reset", "dns_search: a.example", ABSENT, over="dns_search: !reset null"),
)

WRONG = (
    Wrong(
        "number",
        "dns_search: 1.5",
        "expected text or a list, not a fraction",
        place="4:5",
        hint="write one text, or a list with each item in quotes",
    ),
    Wrong("mapping", "dns_search: {a: b}", "expected text or a list, not a mapping", place="4:5"),
    Wrong(
        "number-in-list",
        "dns_search: [a.example, 3]",
        "expected text, not a number",
        place="4:29",
        hint="put it in quotes",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_dns_search(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_dns_search_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
