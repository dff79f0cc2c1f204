"""services.*.command (compose-spec 05-services.md, command)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import Case, Wrong, check, check_wrong

KEY = "services.*.command"

CASES = (
    Case("text", "command: bundle exec thin -p 3000", ["bundle", "exec", "thin", "-p", "3000"]),
    Case(
        "list",
        "command: [bundle, exec, thin, -p, '3000']",
        ["bundle", "exec", "thin", "-p", "3000"],
    ),
    Case(
        "quotes",
        "command: sh -c 'echo \"hello $$HOSTNAME\"'",
        ["sh", "-c", 'echo "hello $$HOSTNAME"'],
    ),
    Case("double-quotes", "command: sh -c \"echo 'a b'\"", ["sh", "-c", "echo 'a b'"]),
    Case("escaped-space", "command: 'echo a\\ b'", ["echo", "a b"]),
    Case("empty-word", "command: \"echo '' b\"", ["echo", "", "b"]),
    Case("adjacent-quotes", "command: \"echo a'b c'd\"", ["echo", "ab cd"]),
    Case("hash", "command: 'echo #1 a'", ["echo", "#1", "a"]),
    Case("lines", "command: |\n  echo a\n  b", ["echo", "a", "b"]),
    Case("folded", "command: >\n  echo a\n  b", ["echo", "a", "b"]),
    Case(
        "operators",
        "command: 'a && b | c > d; e'",
        ["a", "&&", "b", "|", "c", ">", "d;", "e"],
        ours="it drops all from the operator on",
    ),
    Case("unset", "tty: true", None),
    Case("null", "command:", None),
    Case("empty-list", "command: []", []),
    Case("empty-text", "command: ''", []),
    Case("list-is-not-split", "command: ['echo a b']", ["echo a b"]),
    Case("list-of-an-empty-text", "command: ['']", [""]),
    Case("variable", "command: 'echo ${WORDS}'", ["echo", "a", "b"], env={"WORDS": "a b"}),
    Case("variable-in-list", "command: [echo, '${WORDS}']", ["echo", "a b"], env={"WORDS": "a b"}),
    Case("unset-variable", "command: 'echo ${WORDS} c'", ["echo", "c"]),
    Case("replaced", "command: [a, b]", ["c"], over="command: [c]"),
    Case("replaced-by-text", "command: [a, b]", ["c", "d"], over="command: c d"),
    Case("replaced-by-nothing", "command: [a, b]", [], over="command: []"),
    Case("over-null", "command: [a, b]", None, over="command:\n"),
    Case("over-unset", "command: [a, b]", ["a", "b"], over="tty: true"),
    Case("reset", "command: [a, b]", None, over="command: !reset null"),
)

WRONG = (
    Wrong("number", "command: 3", "expected text or a list, not a number", place="4:5"),
    Wrong(
        "mapping",
        "command: {echo: a}",
        "expected text or a list, not a mapping",
        place="4:5",
        hint="write one text, or a list with each item in quotes",
    ),
    Wrong(
        "number-in-list",
        "command: [sleep, 3]",
        "expected text, not a number",
        place="4:22",
        hint="put it in quotes",
    ),
    Wrong("nested", "command: [[a]]", "expected text, not a list"),
    Wrong(
        "open-quote",
        'command: echo "a',
        "a quote is not closed in this command",
        place="4:5",
        hint="or write it as a list",
    ),
    Wrong("open-single-quote", "command: it's", "a quote is not closed in this command"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_command(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_command_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
