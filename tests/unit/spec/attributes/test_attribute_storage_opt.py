"""services.*.storage_opt (compose-spec 05-services.md, storage_opt)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.storage_opt"

CASES = (
    Case("text", "storage_opt: {size: 1G}", {"size": "1G"}),
    Case("number", "storage_opt: {size: 3}", {"size": "3"}),
    Case("null-entry", "storage_opt: {size: }", {"size": ""}),
    Case("empty", "storage_opt: {}", ABSENT),
    Case("null", "storage_opt:", ABSENT, ours=NULL),
    Case("variable", "storage_opt: {size: '${S}'}", {"size": "2G"}, env={"S": "2G"}),
    Case("over", "storage_opt: {a: b, c: d}", {"a": "e", "c": "d"}, over="storage_opt: {a: e}"),
    Case("override", "storage_opt: {a: b}", {"c": "d"}, over="storage_opt: !override {c: d}"),
    Case("reset", "storage_opt: {a: b}", ABSENT, over="storage_opt: !reset {}"),
)

WRONG = (
    Wrong(
        "list", "storage_opt: [size=1G]", "expected a mapping, not a list", place="4:5", hint="KEY"
    ),
    Wrong("text", "storage_opt: size=1G", "expected a mapping, not text"),
    Wrong(
        "bool",
        "storage_opt: {a: b, size: true}",
        "text or a number, not true or false",
        place="4:25",
    ),
    Wrong("list-entry", "storage_opt: {size: [1]}", "text or a number, not a list", hint="quotes"),
    Wrong("mapping-entry", "storage_opt: {size: {a: b}}", "text or a number, not a mapping"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_storage_opt(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_storage_opt_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
