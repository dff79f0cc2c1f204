"""name (compose-spec 04-version-and-name.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import NULL, Case, Wrong, check, check_wrong

KEY = "name"


def named(name: str, image: str = "a") -> str:
    return f"name: {name}\nservices: {{web: {{image: '{image}'}}}}"


CASES = (
    Case("given", named("shop"), "shop", project=None),
    Case("digits", named("'1-shop_2'"), "1-shop_2", project=None),
    Case("variable", named("'${V}-shop'"), "my-shop", project=None, env={"V": "my"}),
    Case("default", named("'${V:-shop}'"), "shop", project=None),
    Case("lowered", named("Shop"), "shop", project=None),
    Case("squeezed", named("my shop!"), "myshop", project=None),
    Case("trimmed", named("_-shop"), "shop", project=None),
    Case("asked-otherwise", named("shop"), "orc"),
    Case(
        "asked-by-variable",
        named("shop"),
        "mine",
        project=None,
        env={"COMPOSE_PROJECT_NAME": "mine"},
    ),
    Case("asked-over-bad", named("Bad Name"), "orc"),
    Case("empty", named("''"), "mine", project=None, env={"COMPOSE_PROJECT_NAME": "mine"}),
    Case("null", named(""), "orc", ours=NULL),
    Case("over", named("shop"), "store", project=None, over="name: store"),
    Case("over-without", named("shop"), "shop", project=None, over="services: {web: {user: u}}"),
    Case(
        "names-networks", named("shop"), "shop_default", key="networks.default.name", project=None
    ),
    Case(
        "known",
        named("shop", "${COMPOSE_PROJECT_NAME}"),
        "shop",
        key="services.web.image",
        project=None,
    ),
    Case(
        "known-otherwise", named("shop", "${COMPOSE_PROJECT_NAME}"), "orc", key="services.web.image"
    ),
)

WRONG = (
    Wrong(
        "asked-capital", named("shop"), 'invalid project name "Shop"', project="Shop", hint="lower"
    ),
    Wrong(
        "asked-first", named("shop"), "invalid project name", project="_shop", hint="beginning with"
    ),
    Wrong(
        "asked-by-variable",
        named("shop"),
        "invalid project name in COMPOSE_PROJECT_NAME",
        project=None,
        env={"COMPOSE_PROJECT_NAME": "my shop"},
    ),
    Wrong("number", named("3"), "expected text, not a number", place="1:1", hint="quotes"),
    Wrong("list", named("[shop]"), "expected text, not a list", place="1:1"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_name(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_name_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
