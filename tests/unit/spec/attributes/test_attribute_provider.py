"""services.*.provider (compose-spec 05-services.md, provider)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.provider"

CASES = (
    Case("type", "provider: {type: aws}", {"type": "aws"}),
    Case("alone", "services: {web: {provider: {type: aws}}}", {"type": "aws"}),
    Case("no-network", "services: {web: {provider: {type: aws}}}", ABSENT, key="networks"),
    Case(
        "options",
        "provider: {type: aws, options: {text: b, number: 3, fraction: 1.5, flag: true}}",
        {
            "type": "aws",
            "options": {"text": ["b"], "number": ["3"], "fraction": ["1.5"], "flag": ["true"]},
        },
    ),
    Case(
        "lists",
        "provider: {type: aws, options: {many: [a, 1, true, 2.5]}}",
        {"type": "aws", "options": {"many": ["a", "1", "true", "2.5"]}},
    ),
    Case(
        "variables",
        "provider: {type: '${T}', options: {a: '${V}', '${K}': x}}",
        {"type": "t", "options": {"a": ["v"], "$${K}": ["x"]}},
        env={"T": "t", "V": "v", "K": "k"},
    ),
    Case("extension", "provider: {type: aws, x-a: 1}", {"type": "aws"}),
    Case("null", "provider:", ABSENT, ours=NULL),
    Case("null-options", "provider: {type: aws, options: }", {"type": "aws"}, ours=NULL),
    Case(
        "over",
        "provider: {type: aws, options: {a: b, l: [x]}}",
        {"type": "gcp", "options": {"a": ["b"], "c": ["d"], "l": ["x", "y"]}},
        over="provider: {type: gcp, options: {c: d, l: [x, y]}}",
    ),
    Case(
        "override",
        "provider: {type: aws, options: {a: b}}",
        {"type": "gcp"},
        over="provider: !override {type: gcp}",
    ),
    Case("reset", "provider: {type: aws}", ABSENT, over="provider: !reset null"),
)

WRONG = (
    Wrong("text", "provider: aws", "expected a mapping, not text", place="4:5", hint="KEY: VALUE"),
    Wrong("no-type", "provider: {options: {a: b}}", '"type" is missing', place="4:5", hint="type"),
    Wrong("type-number", "provider: {type: 3}", "expected text, not a number", place="4:16"),
    Wrong(
        "near",
        "provider: {type: aws, option: {a: b}}",
        'unknown key "option"',
        place="4:27",
        hint='did you mean "options"?',
    ),
    Wrong("list", "provider: {type: aws, options: [a]}", "expected a mapping, not a list"),
    Wrong(
        "null-option",
        "provider: {type: aws, options: {a: }}",
        "expected text or a number, not nothing",
        place="4:37",
    ),
    Wrong(
        "mapping-option",
        "provider: {type: aws, options: {a: {b: c}}}",
        "expected text or a number, not a mapping",
        place="4:37",
    ),
    Wrong(
        "mapping-item",
        "provider: {type: aws, options: {a: [b, {}]}}",
        "expected text or a number, not a mapping",
        place="4:44",
    ),
    Wrong("no-image", "services: {web: {user: a}}", "neither image nor build is given"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_provider(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_provider_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
