"""services.*.models (compose-spec 05-services.md, models)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Wrong, check, check_wrong

KEY = "services.*.models"


def among(models: str) -> str:
    """Return a project whose "web" uses models so; "llm" and "embed" are there."""
    return f"""
services: {{web: {{image: a, models: {models}}}}}
models: {{llm: {{model: ai/x}}, embed: {{model: ai/y}}}}
"""


def over(models: str) -> str:
    return f"services: {{web: {{models: {models}}}}}"


CASES = (
    Case("list", among("[llm, embed]"), {"llm": None, "embed": None}),
    Case("null-entry", among("{llm: }"), {"llm": None}),
    Case("empty-entry", among("{llm: {}}"), {"llm": {}}),
    Case(
        "variables",
        among("{llm: {endpoint_var: URL, model_var: NAME, x-a: 1}}"),
        {"llm": {"endpoint_var": "URL", "model_var": "NAME"}},
    ),
    Case("empty-text", among("{llm: {endpoint_var: ''}}"), {"llm": {}}),
    Case(
        "variable",
        among("{llm: {model_var: '${V}'}}"),
        {"llm": {"model_var": "v"}},
        env={"V": "v"},
    ),
    Case("empty", among("[]"), ABSENT),
    Case("null", among(""), ABSENT, ours=NULL),
    Case(
        "over-list", among("[llm]"), {"llm": {"model_var": "A"}}, over=over("{llm: {model_var: A}}")
    ),
    Case(
        "over",
        among("{llm: {model_var: A, endpoint_var: C}}"),
        {"llm": {"model_var": "B", "endpoint_var": "C"}},
        over=over("{llm: {model_var: B}}"),
    ),
    Case(
        "over-by-list",
        among("{llm: {model_var: A}}"),
        {"llm": {"model_var": "A"}, "embed": None},
        over=over("[llm, embed]"),
    ),
    Case("override", among("{llm: {model_var: A}}"), {"llm": None}, over=over("!override [llm]")),
    Case("reset", among("[llm]"), ABSENT, over=over("!reset []")),
)

WRONG = (
    Wrong("text", among("llm"), "expected a mapping or a list of names, not text", hint="dash"),
    Wrong("number", among("[1]"), "expected a name, not a number", place="1:37"),
    Wrong("twice", among("[llm, llm]"), "the list holds this twice", place="1:42", hint="keep one"),
    Wrong("entry", among("{llm: 3}"), "expected a mapping, not a number", place="1:37"),
    Wrong("unknown", among("[lm]"), 'no model "lm" in this project', place="1:37", hint='"llm"'),
    Wrong(
        "near-key",
        among("{llm: {endpoint: A}}"),
        'unknown key "endpoint"',
        place="1:43",
        hint='did you mean "endpoint_var"?',
    ),
    Wrong("variable-number", among("{llm: {model_var: 3}}"), "expected text, not a number"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_models(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_models_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
