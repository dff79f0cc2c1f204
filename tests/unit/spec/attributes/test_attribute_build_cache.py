"""services.*.build.cache_from (compose-spec build.md, cache_from, cache_to, no_cache, pull)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.build.cache_from"
COVERS = (
    "services.*.build.cache_to",
    "services.*.build.no_cache",
    "services.*.build.no_cache_filter",
    "services.*.build.pull",
)

TO = "services.*.build.cache_to"
NO = "services.*.build.no_cache"
FILTER = "services.*.build.no_cache_filter"
PULL = "services.*.build.pull"

CASES = (
    Case(
        "from",
        "build: {cache_from: ['alpine:latest', 'type=local,src=path/to/cache', type=gha]}",
        ["alpine:latest", "type=local,src=path/to/cache", "type=gha"],
    ),
    Case("from-empty", "build: {cache_from: []}", ABSENT),
    Case(
        "from-appended",
        "build: {cache_from: [a, b]}",
        ["a", "b", "c"],
        over="build: {cache_from: [b, c]}",
    ),
    Case("from-repeated", "build: {cache_from: [a, a]}", ["a", "a"]),
    Case(
        "from-variable", "build: {cache_from: ['${A}:${T:-latest}']}", ["a:latest"], env={"A": "a"}
    ),
    Case(
        "to",
        "build: {cache_to: ['user/app:cache', 'type=local,dest=path/to/cache']}",
        ["user/app:cache", "type=local,dest=path/to/cache"],
        key=TO,
    ),
    Case(
        "to-appended", "build: {cache_to: [a]}", ["a", "b"], key=TO, over="build: {cache_to: [b]}"
    ),
    Case("no-cache", "build: {no_cache: true}", True, key=NO),
    Case("no-cache-false", "build: {no_cache: false}", ABSENT, key=NO),
    Case("no-cache-text", "build: {no_cache: 'true'}", True, key=NO),
    Case("filter-text", "build: {no_cache_filter: stage}", ["stage"], key=FILTER),
    Case("filter-list", "build: {no_cache_filter: [one, two]}", ["one", "two"], key=FILTER),
    Case(
        "filter-appended",
        "build: {no_cache_filter: [one]}",
        ["one", "two"],
        key=FILTER,
        over="build: {no_cache_filter: [two]}",
    ),
    Case("pull", "build: {pull: true}", True, key=PULL),
    Case("pull-variable", "build: {pull: '${P}'}", True, key=PULL, env={"P": "true"}),
    Case("pull-reset", "build: {pull: true}", ABSENT, key=PULL, over="build: {pull: !reset null}"),
)

WRONG = (
    Wrong(
        "from-text",
        "build: {cache_from: a}",
        "expected a list, not text",
        place="4:13",
        hint="begin each item with a dash, or put them in brackets",
    ),
    Wrong(
        "from-number",
        "build: {cache_from: [1]}",
        "expected text, not a number",
        place="4:26",
        hint="put it in quotes",
    ),
    Wrong(
        "to-text",
        "build: {cache_to: a}",
        "expected a list, not text",
        place="4:13",
        hint="begin each item with a dash, or put them in brackets",
    ),
    Wrong(
        "no-cache-word",
        "build: {no_cache: never}",
        "expected true or false, not text",
        place="4:13",
        hint="write true or false",
    ),
    Wrong("no-cache-number", "build: {no_cache: 1}", "expected true or false, not a number"),
    Wrong(
        "filter-twice",
        "build: {no_cache_filter: [a, a]}",
        "the list holds this twice",
        place="4:34",
        hint="keep one",
    ),
    Wrong("filter-number", "build: {no_cache_filter: 1}", "expected text or a list, not a number"),
    Wrong(
        "pull-word",
        "build: {pull: always}",
        "expected true or false, not text",
        place="4:13",
        hint="write true or false",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_build_cache(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_build_cache_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
