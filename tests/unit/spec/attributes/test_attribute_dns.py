"""services.*.dns (compose-spec 05-services.md, dns)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.dns"

CASES = (
    Case("text", "dns: 8.8.8.8", ["8.8.8.8"]),
    Case("list", "dns: [8.8.8.8, 9.9.9.9]", ["8.8.8.8", "9.9.9.9"]),
    Case("ipv6", "dns: ['2001:4860:4860::8888']", ["2001:4860:4860::8888"]),
    Case("empty", "dns: []", ABSENT),
    Case("variable", "dns: ${DNS:-1.1.1.1}", ["1.1.1.1"]),
    Case("appended", "dns: [1.1.1.1]", ["1.1.1.1", "8.8.8.8"], over="dns: [8.8.8.8]"),
    Case("appended-forms", "dns: 1.1.1.1", ["1.1.1.1", "8.8.8.8"], over="dns: 8.8.8.8"),
    Case("once", "dns: [1.1.1.1, 8.8.8.8]", ["1.1.1.1", "8.8.8.8"], over="dns: [1.1.1.1]"),
    Case("overridden", "dns: [1.1.1.1]", ["8.8.8.8"], over="dns: !override [8.8.8.8]"),
    Case("reset", "dns: [1.1.1.1]", ABSENT, over="dns: !reset []"),
    Case("unset-variable", "dns: ['${DNS}']", ABSENT),
)

WRONG = (
    Wrong(
        "number",
        "dns: 8",
        "expected text or a list, not a number",
        place="4:5",
        hint="write one text, or a list with each item in quotes",
    ),
    Wrong(
        "mapping", "dns: {primary: 8.8.8.8}", "expected text or a list, not a mapping", place="4:5"
    ),
    Wrong(
        "number-in-list",
        "dns: [8.8.8.8, 8.8]",
        "expected text, not a fraction",
        place="4:20",
        hint="put it in quotes",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_dns(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_dns_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
