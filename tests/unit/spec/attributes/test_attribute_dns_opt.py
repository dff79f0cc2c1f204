"""services.*.dns_opt (compose-spec 05-services.md, dns_opt)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.dns_opt"

CASES = (
    Case(
        "list", "dns_opt: [use-vc, no-tld-query, 'ndots:2']", ["use-vc", "no-tld-query", "ndots:2"]
    ),
    Case("empty", "dns_opt: []", ABSENT),
    Case("variable", "dns_opt: ['ndots:${N}']", ["ndots:3"], env={"N": "3"}),
    Case(
        "appended", "dns_opt: [use-vc]", ["use-vc", "no-tld-query"], over="dns_opt: [no-tld-query]"
    ),
    Case("once", "dns_opt: [use-vc, rotate]", ["use-vc", "rotate"], over="dns_opt: [use-vc]"),
    Case("reset", "dns_opt: [use-vc]", ABSENT, over="dns_opt: !reset []"),
    Case("overridden", "dns_opt: [use-vc]", ["rotate"], over="dns_opt: !override [rotate]"),
)

WRONG = (
    Wrong(
        "text",
        "dns_opt: use-vc",
        "expected a list, not text",
        place="4:5",
        hint="begin each item with a dash, or put them in brackets",
    ),
    Wrong(
        "number",
        "dns_opt: [use-vc, 2]",
        "expected text, not a number",
        place="4:23",
        hint="put it in quotes",
    ),
    Wrong("mapping", "dns_opt: {ndots: 2}", "expected a list, not a mapping"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_dns_opt(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_dns_opt_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
