"""services.*.profiles (compose-spec 05-services.md, 15-profiles.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.profiles"

CASES = (
    Case("active", "profiles: [a, b]", ["a", "b"], profiles=("b",)),
    Case("inactive", "profiles: [a]", ABSENT, profiles=("b",)),
    Case("none-asked", "profiles: [a]", ABSENT),
    Case("all", "profiles: [a]", ["a"], profiles=("*",)),
    Case("empty", "profiles: []", ABSENT, profiles=("a",)),
    Case("empty-active", "profiles: []", "busybox", key="services.web.image"),
    Case("null", "profiles:", "busybox", key="services.web.image", ours=NULL),
    Case("repeated", "profiles: [a, a]", ["a"], profiles=("a",)),
    Case("any-text", "profiles: ['a b']", ["a b"], profiles=("a b",)),
    Case("variable", "profiles: ['${P}']", ["a"], profiles=("a",), env={"P": "a"}),
    Case("unset", "profiles: ['${P}']", [""]),
    Case("unset-others", "profiles: ['${P}']", ABSENT, profiles=("a",)),
    Case("over", "profiles: [a]", ["a", "b"], over="profiles: [b, a]", profiles=("b",)),
    Case("override", "profiles: [a]", ["b"], over="profiles: !override [b]", profiles=("b",)),
    Case("overridden", "profiles: [a]", ABSENT, over="profiles: !override [b]", profiles=("a",)),
    Case("reset", "profiles: [a]", "busybox", over="profiles: !reset []", key="services.web.image"),
    Case("environment", "profiles: [a]", ["a"], env={"COMPOSE_PROFILES": "b,a"}),
)

WRONG = (
    Wrong("text", "profiles: a", "expected a list, not text", place="4:5", hint="dash"),
    Wrong("number", "profiles: [1]", "expected text, not a number", place="4:16", hint="quotes"),
    Wrong("mapping", "profiles: {a: true}", "expected a list, not a mapping"),
    Wrong("nested", "profiles: [[a]]", "expected text, not a list"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_profiles(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_profiles_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
