"""services.*.image (compose-spec 05-services.md, image)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Wrong, check, check_wrong

KEY = "services.*.image"


def service(image: str) -> str:
    """Return a project with one service of this image."""
    return f"services:\n  web:\n    image: {image}\n"


CASES = (
    Case("short", service("redis"), "redis"),
    Case("tag", service("redis:5"), "redis:5"),
    Case(
        "digest",
        service("redis@sha256:" + "0" * 64),
        "redis@sha256:0000000000000000000000000000000000000000000000000000000000000000",
    ),
    Case(
        "tag-and-digest",
        service("redis:5@sha256:" + "0" * 64),
        "redis:5@sha256:0000000000000000000000000000000000000000000000000000000000000000",
    ),
    Case("library", service("library/redis"), "library/redis"),
    Case("hub", service("docker.io/library/redis"), "docker.io/library/redis"),
    Case(
        "registry-with-port",
        service("my_private.registry:5000/redis"),
        "my_private.registry:5000/redis",
    ),
    Case("variable", service("'redis:${TAG:-7}'"), "redis:7"),
    Case(
        "variable-registry",
        service("'${REGISTRY}/a:${TAG}'"),
        "r.example/a:1",
        env={"REGISTRY": "r.example", "TAG": "1"},
    ),
    Case("beside-build", "build: .", "busybox"),
    Case("merged", service("a"), "b", over="services: {web: {image: b}}"),
    Case("without-image", "services: {web: {build: .}}", ABSENT),
    Case("empty-beside-build", "services: {web: {build: ., image: ''}}", ABSENT),
)

WRONG = (
    Wrong(
        "number", service("5"), "expected text, not a number", place="3:5", hint="put it in quotes"
    ),
    Wrong("list", service("[redis]"), "expected text, not a list"),
    Wrong(
        "upper-case",
        service("Redis"),
        '"Redis" is not an image reference',
        place="3:5",
        hint="write it as [registry/]repository[:tag][@sha256:...], in lower case",
        ours="its engine refuses the name later",
    ),
    Wrong(
        "blank",
        service("'a b'"),
        '"a b" is not an image reference',
        place="3:5",
        hint="write it as [registry/]repository[:tag][@sha256:...], in lower case",
        ours="its engine refuses the name later",
    ),
    Wrong(
        "neither",
        "services:\n  web:\n    command: a\n",
        "neither image nor build is given",
        place="2:3",
        hint="say what the service runs",
    ),
    Wrong(
        "neither-but-empty",
        service("''"),
        "neither image nor build is given",
        place="2:3",
        hint="say what the service runs",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_image(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_image_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
