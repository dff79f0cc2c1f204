"""services.*.security_opt (compose-spec 05-services.md, security_opt)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.security_opt"

CASES = (
    Case("list", "security_opt: ['label:disable', 'seccomp=a']", ["label:disable", "seccomp=a"]),
    Case("empty", "security_opt: []", ABSENT),
    Case("null", "security_opt:", ABSENT, ours=NULL),
    Case("empty-text", "security_opt: ['']", [""]),
    Case("variable", "security_opt: ['${OPT}']", ["a"], env={"OPT": "a"}),
    Case("over", "security_opt: [a]", ["a", "b"], over="security_opt: [b, a]"),
    Case("over-values", "security_opt: [a=1]", ["a=1", "a=2"], over="security_opt: [a=2]"),
    Case("override", "security_opt: [a]", ["b"], over="security_opt: !override [b]"),
    Case("reset", "security_opt: [a]", ABSENT, over="security_opt: !reset []"),
)

WRONG = (
    Wrong("text", "security_opt: a", "expected a list, not text", place="4:5", hint="dash"),
    Wrong("mapping", "security_opt: {a: b}", "expected a list, not a mapping"),
    Wrong("number", "security_opt: [a, 1]", "expected text, not a number", place="4:23"),
    Wrong("null-item", "security_opt: [a, null]", "expected text, not nothing"),
    Wrong(
        "twice", "security_opt: [a, b, a]", "the list holds this twice", place="4:26", hint="keep"
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_security_opt(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_security_opt_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
