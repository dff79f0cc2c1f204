"""services.*.sysctls (compose-spec 05-services.md, sysctls)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.sysctls"

CASES = (
    Case(
        "mapping",
        "sysctls: {net.core.somaxconn: 1024, text: b, flag: true, fraction: 1.5, none: }",
        {"net.core.somaxconn": "1024", "text": "b", "flag": "true", "fraction": "1.5", "none": ""},
    ),
    Case(
        "list",
        "sysctls: [net.core.somaxconn=1024, bare]",
        {"net.core.somaxconn": "1024", "bare": ""},
    ),
    Case("equals", "sysctls: [a=b=c]", {"a": "b=c"}),
    Case("repeated", "sysctls: [a=1, a=2]", {"a": "2"}),
    Case("variable", "sysctls: {a: '${V}'}", {"a": "1"}, env={"V": "1"}),
    Case("list-variable", "sysctls: ['a=${V}']", {"a": "1"}, env={"V": "1"}),
    Case("empty", "sysctls: []", ABSENT),
    Case("null", "sysctls:", ABSENT, ours=NULL),
    Case(
        "over", "sysctls: {a: 1, c: 4}", {"a": "2", "b": "3", "c": "4"}, over="sysctls: [a=2, b=3]"
    ),
    Case("override", "sysctls: {a: 1}", {"b": "2"}, over="sysctls: !override {b: 2}"),
    Case("reset", "sysctls: {a: 1}", ABSENT, over="sysctls: !reset {}"),
)

WRONG = (
    Wrong(
        "text",
        "sysctls: a=b",
        "expected a mapping or a list of KEY=VALUE, not text",
        place="4:5",
        hint="KEY: VALUE",
    ),
    Wrong("number", "sysctls: [a=1, 1]", "expected KEY=VALUE, not a number", place="4:20"),
    Wrong("no-key", "sysctls: ['=a']", "expected KEY=VALUE", ours="it sets an empty name"),
    Wrong("list-entry", "sysctls: {a: [b]}", "text or a number, not a list", place="4:15"),
    Wrong("mapping-entry", "sysctls: {a: {b: c}}", "text or a number, not a mapping"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_sysctls(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_sysctls_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
