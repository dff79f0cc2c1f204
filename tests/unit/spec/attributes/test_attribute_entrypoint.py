"""services.*.entrypoint (compose-spec 05-services.md, entrypoint)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import Case, Wrong, check, check_wrong

KEY = "services.*.entrypoint"

CASES = (
    Case("text", "entrypoint: /code/entrypoint.sh --fast", ["/code/entrypoint.sh", "--fast"]),
    Case(
        "list",
        "entrypoint: [php, -d, memory_limit=-1, vendor/bin/phpunit]",
        ["php", "-d", "memory_limit=-1", "vendor/bin/phpunit"],
    ),
    Case("quotes", "entrypoint: sh -c 'exec \"$$@\"' --", ["sh", "-c", 'exec "$$@"', "--"]),
    Case("unset", "tty: true", None),
    Case("null", "entrypoint:", None),
    Case("empty-list", "entrypoint: []", []),
    Case("empty-text", "entrypoint: ''", []),
    Case("variable", "entrypoint: ${BIN:-/bin/sh} -e", ["/bin/sh", "-e"]),
    Case("replaced", "entrypoint: [a, b]", ["c"], over="entrypoint: c"),
    Case("replaced-by-nothing", "entrypoint: [a, b]", [], over="entrypoint: []"),
    Case("over-null", "entrypoint: [a, b]", None, over="entrypoint:\n"),
    Case("reset", "entrypoint: [a, b]", None, over="entrypoint: !reset null"),
    Case(
        "command-stays",
        "entrypoint: [a]\ncommand: [b]",
        ["b"],
        key="services.*.command",
        over="entrypoint: [c]",
    ),
)

WRONG = (
    Wrong("flag", "entrypoint: true", "expected text or a list, not true or false", place="4:5"),
    Wrong("mapping", "entrypoint: {sh: -c}", "expected text or a list, not a mapping"),
    Wrong(
        "number-in-list",
        "entrypoint: [nice, -5]",
        "expected text, not a number",
        place="4:24",
        hint="put it in quotes",
    ),
    Wrong(
        "open-quote",
        'entrypoint: "sh -c \'a"',
        "a quote is not closed in this command",
        place="4:5",
        hint="or write it as a list",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_entrypoint(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_entrypoint_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
