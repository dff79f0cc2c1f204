"""services.*.credential_spec (compose-spec 05-services.md, credential_spec)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.credential_spec"

CASES = (
    Case(
        "file",
        "credential_spec: {file: my-credential-spec.json}",
        {"file": "my-credential-spec.json"},
    ),
    Case(
        "registry",
        "credential_spec: {registry: my-credential-spec}",
        {"registry": "my-credential-spec"},
    ),
    Case(
        "config", "credential_spec: {config: my_credential_spec}", {"config": "my_credential_spec"}
    ),
    Case("extension", "credential_spec: {file: a, x-b: c}", {"file": "a"}),
    Case(
        "variable", "credential_spec: {file: '${NAME}.json'}", {"file": "a.json"}, env={"NAME": "a"}
    ),
    Case("empty", "credential_spec: {}", {}),
    Case(
        "merged",
        "credential_spec: {file: a}",
        {"file": "b", "registry": "c"},
        over="credential_spec: {file: b, registry: c}",
    ),
    Case(
        "overridden",
        "credential_spec: {file: a}",
        {"config": "b"},
        over="credential_spec: !override {config: b}",
    ),
    Case("reset", "credential_spec: {file: a}", ABSENT, over="credential_spec: !reset null"),
)

WRONG = (
    Wrong(
        "text",
        "credential_spec: file://a",
        "expected a mapping, not text",
        place="4:5",
        hint="write KEY: VALUE below it",
    ),
    Wrong("list", "credential_spec: [a]", "expected a mapping, not a list"),
    Wrong(
        "number",
        "credential_spec: {file: 3}",
        "expected text, not a number",
        place="4:23",
        hint="put it in quotes",
    ),
    Wrong(
        "unknown",
        "credential_spec:\n  fiel: a",
        'unknown key "fiel"',
        place="5:7",
        hint='did you mean "file"?',
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_credential_spec(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_credential_spec_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
