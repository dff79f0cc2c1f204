"""services.*.ulimits (compose-spec 05-services.md, ulimits)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.ulimits"

CASES = (
    Case("single", "ulimits: {nproc: 65535}", {"nproc": 65535}),
    Case("single-text", "ulimits: {nproc: '65535'}", {"nproc": 65535}),
    Case("pair", "ulimits: {nofile: {soft: 1, hard: 2}}", {"nofile": {"soft": 1, "hard": 2}}),
    Case("pair-equal", "ulimits: {nofile: {soft: 5, hard: 5}}", {"nofile": {"soft": 5, "hard": 5}}),
    Case(
        "pair-text", "ulimits: {a: {soft: '1', hard: '2', x-a: 1}}", {"a": {"soft": 1, "hard": 2}}
    ),
    Case(
        "pair-zero",
        "ulimits: {core: {soft: 0, hard: 0}}",
        {"core": {"soft": 0, "hard": 0}},
        ours="it shows no limit of 0",
    ),
    Case("unlimited", "ulimits: {memlock: -1}", {"memlock": -1}),
    Case("hard-below-soft", "ulimits: {a: {soft: 3, hard: 2}}", {"a": {"soft": 3, "hard": 2}}),
    Case("any-name", "ulimits: {NO FILE: 3}", {"NO FILE": 3}),
    Case(
        "point", "ulimits: {a: 2.0}", {"a": 2}, ours="it wants whole numbers without a point here"
    ),
    Case("variable", "ulimits: {a: '${N}'}", {"a": 9}, env={"N": "9"}),
    Case("empty", "ulimits: {}", ABSENT),
    Case("null", "ulimits:", ABSENT, ours=NULL),
    Case("null-entry", "ulimits: {a: }", ABSENT, ours=NULL),
    Case(
        "over",
        "ulimits: {a: 1, b: 2}",
        {"a": {"soft": 3, "hard": 4}, "b": 2},
        over="ulimits: {a: {soft: 3, hard: 4}}",
    ),
    Case("over-single", "ulimits: {a: {soft: 3, hard: 4}}", {"a": 7}, over="ulimits: {a: 7}"),
    Case(
        "over-half",
        "ulimits: {a: {soft: 3, hard: 4}}",
        {"a": {"soft": 1, "hard": 4}},
        over="ulimits: {a: {soft: 1}}",
    ),
    Case("override", "ulimits: {a: 1, b: 2}", {"c": 3}, over="ulimits: !override {c: 3}"),
    Case("reset-entry", "ulimits: {a: 1, b: 2}", {"b": 2}, over="ulimits: {a: !reset null}"),
    Case("reset", "ulimits: {a: 1}", ABSENT, over="ulimits: !reset {}"),
)

WRONG = (
    Wrong("list", "ulimits: [nofile=3]", "expected a mapping, not a list", place="4:5", hint="KEY"),
    Wrong("word", "ulimits: {a: unlimited}", "expected a whole number, not text", place="4:15"),
    Wrong(
        "bool", "ulimits: {a: true}", "expected a whole number, not true or false", hint="digits"
    ),
    Wrong("fraction", "ulimits: {a: 1.5}", "expected a whole number, not a fraction"),
    Wrong("list-entry", "ulimits: {a: [1]}", "expected a whole number, not a list"),
    Wrong("no-hard", "ulimits: {a: {soft: 5}}", '"hard" is missing', place="4:15", hint="hard"),
    Wrong("no-soft", "ulimits: {a: {hard: 5}}", '"soft" is missing', place="4:15", hint="soft"),
    Wrong("soft-word", "ulimits: {a: {soft: x, hard: 2}}", "expected a whole number", place="4:19"),
    Wrong("hard-fraction", "ulimits: {a: {soft: 1, hard: 2.5}}", "not a fraction", place="4:28"),
    Wrong(
        "unknown-key",
        "ulimits: {a: {soft: 1, hard: 2, firm: 3}}",
        'unknown key "firm"',
        place="4:37",
        hint="known here: hard, soft",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_ulimits(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_ulimits_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
