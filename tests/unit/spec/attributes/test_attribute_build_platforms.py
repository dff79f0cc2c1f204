"""services.*.build.platforms (compose-spec build.md, platforms and tags)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.build.platforms"
COVERS = ("services.*.build.tags",)

TAGS = "services.*.build.tags"

CASES = (
    Case("list", "build: {platforms: [linux/amd64, linux/arm64]}", ["linux/amd64", "linux/arm64"]),
    Case("empty", "build: {platforms: []}", ABSENT),
    Case(
        "with-the-service's",
        "platform: linux/amd64\nbuild: {platforms: [linux/amd64, linux/arm64]}",
        ["linux/amd64", "linux/arm64"],
    ),
    Case("variable", "build: {platforms: ['${P}']}", ["linux/arm/v7"], env={"P": "linux/arm/v7"}),
    Case(
        "appended",
        "build: {platforms: [a/a, b/b]}",
        ["a/a", "b/b", "c/c"],
        over="build: {platforms: [b/b, c/c]}",
    ),
    Case(
        "tags",
        "build: {tags: ['myimage:mytag', 'registry/username/myrepos:my-other-tag']}",
        ["myimage:mytag", "registry/username/myrepos:my-other-tag"],
        key=TAGS,
    ),
    Case("tags-repeated", "build: {tags: [a, a]}", ["a"], key=TAGS),
    Case("tags-appended", "build: {tags: [a]}", ["a", "b"], key=TAGS, over="build: {tags: [b, a]}"),
    Case("tags-reset", "build: {tags: [a]}", ABSENT, key=TAGS, over="build: {tags: !reset []}"),
)

WRONG = (
    Wrong(
        "text",
        "build: {platforms: linux/amd64}",
        "expected a list, not text",
        place="4:13",
        hint="begin each item with a dash, or put them in brackets",
    ),
    Wrong(
        "number",
        "build: {platforms: [1]}",
        "expected text, not a number",
        place="4:25",
        hint="put it in quotes",
    ),
    Wrong(
        "not-the-service's",
        "platform: linux/amd64\nbuild: {platforms: [linux/arm64]}",
        "build.platforms does not hold this platform",
        place="4:5",
        hint="add it there",
    ),
    Wrong(
        "tags-text",
        "build: {tags: a}",
        "expected a list, not text",
        place="4:13",
        hint="begin each item with a dash, or put them in brackets",
    ),
    Wrong("tags-mapping", "build: {tags: {a: b}}", "expected a list, not a mapping"),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_build_platforms(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_build_platforms_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
