"""services.*.environment (compose-spec 05-services.md, environment)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.environment"

CASES = (
    Case(
        "mapping",
        "environment: {RACK_ENV: development, SHOW: 'true', USER_INPUT: }",
        {"RACK_ENV": "development", "SHOW": "true", "USER_INPUT": None},
    ),
    Case(
        "list",
        "environment: [RACK_ENV=development, SHOW=true, USER_INPUT]",
        {"RACK_ENV": "development", "SHOW": "true", "USER_INPUT": None},
    ),
    Case(
        "from-outside", "environment: {A: , B: ''}", {"A": "1", "B": ""}, env={"A": "1", "B": "2"}
    ),
    Case(
        "from-outside-list", "environment: [A, B=]", {"A": "1", "B": ""}, env={"A": "1", "B": "2"}
    ),
    Case("from-env-file", "environment: [A]", {"A": "dotenv"}, files={".env": "A=dotenv\n"}),
    Case(
        "typed",
        "environment: {I: 7, F: 1.50, T: true, N: 017, H: 0x1F, E: 1e3, B: 1_000}",
        {"B": "1000", "E": "1000", "F": "1.5", "H": "31", "I": "7", "N": "15", "T": "true"},
    ),
    Case(
        "large-numbers",
        "environment: {A: 12345678901234567890, B: 1000000000000000000000.0, C: 0.0000001}",
        {"A": "12345678901234567890", "B": "1e+21", "C": "1e-07"},
    ),
    Case(
        "text-that-looks-typed",
        "environment: {T: 'true', N: '017', Y: yes, C: '1:30'}",
        {"C": "1:30", "N": "017", "T": "true", "Y": "yes"},
    ),
    Case(
        "date",
        "environment: {D: 2024-01-02}",
        {"D": "2024-01-02"},
        ours="it writes the date out as its own language does",
    ),
    Case("equals-in-value", "environment: ['A=b=c', 'D==']", {"A": "b=c", "D": "="}),
    Case("lines", "environment:\n  A: |\n    one\n    two\n", {"A": "one\ntwo\n"}),
    Case(
        "variable",
        "environment: {A: '${ONE}/${TWO:-2}/$$THREE'}",
        {"A": "1/2/$$THREE"},
        env={"ONE": "1"},
    ),
    Case("variable-in-list", "environment: ['${NAME}=b']", {"A": "b"}, env={"NAME": "A"}),
    Case("repeated", "environment: [A=1, A=2]", {"A": "2"}),
    Case("lower-case-and-dots", "environment: {a.b-c: d}", {"a.b-c": "d"}),
    Case("empty", "environment: {}", ABSENT),
    Case("empty-list", "environment: []", ABSENT),
    Case(
        "merged",
        "environment: {A: 1, B: 2}",
        {"A": "1", "B": "3", "C": "4"},
        over="environment: {B: 3, C: 4}",
    ),
    Case(
        "merged-forms", "environment: [A=1, B=2]", {"A": "1", "B": "3"}, over="environment: {B: 3}"
    ),
    Case("merged-null", "environment: {A: 1}", {"A": None}, over="environment: {A: }"),
    Case("merged-bare", "environment: [A=1]", {"A": None}, over="environment: [A]"),
    Case("overridden", "environment: {A: 1}", {"B": "2"}, over="environment: !override {B: 2}"),
    Case("reset", "environment: {A: 1}", ABSENT, over="environment: !reset null"),
    Case(
        "reset-one", "environment: {A: 1, B: 2}", {"B": "2"}, over="environment: {A: !reset null}"
    ),
    Case("anchors", "environment:\n  <<: &a {A: 1, B: 2}\n  B: 3", {"A": "1", "B": "3"}),
)

WRONG = (
    Wrong(
        "text",
        "environment: A=1",
        "expected a mapping or a list of KEY=VALUE, not text",
        place="4:5",
        hint="write KEY: VALUE below it",
    ),
    Wrong(
        "nested",
        "environment: {A: {B: 1}}",
        "expected text or a number, not a mapping",
        place="4:19",
        hint="a value is one line of text: put it in quotes",
    ),
    Wrong("list-value", "environment: {A: [1]}", "expected text or a number, not a list"),
    Wrong(
        "mapping-in-list",
        "environment:\n  - A: 1",
        "expected KEY=VALUE, not a mapping",
        place="5:9",
        hint="write each as KEY=VALUE, or all as KEY: VALUE without dashes",
    ),
    Wrong("number-in-list", "environment: [1]", "expected KEY=VALUE, not a number"),
    Wrong(
        "required-variable",
        "environment: {A: '${B:?say b}'}",
        'required variable "B" has no value: say b',
        place="4:19",
        hint="set B in the environment or in an env file",
    ),
    Wrong(
        "open-variable",
        "environment: {A: '${B'}",
        'a variable is not closed: "${" without "}"',
        place="4:19",
        hint='write "$$" for a plain dollar',
    ),
    Wrong(
        "repeated-key",
        "environment:\n  A: 1\n  A: 2",
        'key "A" is set twice, first in line 5',
        place="6:7",
        hint="keep one of the two",
    ),
    Wrong(
        "blank-before-equals",
        "environment: ['A =1']",
        "a variable's name cannot end with a space",
        place="4:19",
        hint="write NAME=VALUE without a space before the =",
    ),
    Wrong(
        "no-name",
        "environment: ['=1']",
        "expected KEY=VALUE",
        place="4:19",
        hint="write a key before it",
        ours="a variable without a name means nothing",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_environment(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_environment_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
