"""services (compose-spec 05-services.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, Case, Json, Wrong, check, check_wrong

KEY = "services"


def shown(**more: Json) -> dict[str, Json]:
    return {"command": None, "entrypoint": None, "networks": {"default": None}, **more}


CASES = (
    Case("unsaid", "# only\nnetworks: {a: }", {}),
    Case("dash", "services: {-a: {image: a}}", {"-a": shown(image="a")}),
    Case("number-text", "services: {'1': {image: a}}", {"1": shown(image="a")}),
    Case(
        "over-null",
        "services: {web: {image: a}}",
        {"web": shown(image="a")},
        over="services: {web: }",
    ),
    Case(
        "override-one",
        "services: {web: {image: a, user: u}}",
        {"web": shown(image="b")},
        over="services: {web: !override {image: b}}",
    ),
    Case(
        "override-all",
        "services: {web: {image: a}}",
        {"db": shown(image="b")},
        over="services: !override {db: {image: b}}",
    ),
    Case(
        "names",
        "services: {web: {image: a}, A_b-c.1: {image: b}}",
        ABSENT,
        key="services.A_b-c.1.image",
    ),
    Case("none", "services: {}\nx-a: b", {}),
    Case(
        "extension-is-a-name",
        "services: {x-web: {image: a}}",
        {
            "x-web": {
                "command": None,
                "entrypoint": None,
                "image": "a",
                "networks": {"default": None},
            }
        },
    ),
    Case(
        "merged",
        "services: {web: {image: a, tty: true}}",
        {
            "db": {
                "command": None,
                "entrypoint": None,
                "image": "c",
                "networks": {"default": None},
            },
            "web": {
                "command": None,
                "entrypoint": None,
                "image": "b",
                "networks": {"default": None},
                "tty": True,
            },
        },
        over="services: {web: {image: b}, db: {image: c}}",
    ),
    Case(
        "reset-one",
        "services: {web: {image: a}, db: {image: b}}",
        {"web": {"command": None, "entrypoint": None, "image": "a", "networks": {"default": None}}},
        over="services: {db: !reset null}",
    ),
    Case(
        "anchors",
        "services:\n  web: &web {image: a, tty: true}\n  db:\n    <<: *web\n    image: b\n",
        {
            "db": {
                "command": None,
                "entrypoint": None,
                "image": "b",
                "networks": {"default": None},
                "tty": True,
            },
            "web": {
                "command": None,
                "entrypoint": None,
                "image": "a",
                "networks": {"default": None},
                "tty": True,
            },
        },
    ),
)

WRONG = (
    Wrong("nothing", "services:", "the Compose files are empty", hint="at least one service"),
    Wrong(
        "empty-service",
        "services: {web: {}}",
        "neither image nor build is given",
        place="1:12",
        hint="say what the service runs",
    ),
    Wrong("no-name", "services: {'': {image: a}}", '"" is no name'),
    Wrong("list-over", "services: {web: {image: a}}", "not a list", over="services: [web]"),
    Wrong(
        "list",
        "services: [web]",
        "expected a mapping, not a list",
        place="1:1",
        hint="write KEY: VALUE below it",
    ),
    Wrong("text", "services: web", "expected a mapping, not text"),
    Wrong(
        "null-service",
        "services: {web: }",
        "expected a mapping, not nothing",
        place="1:12",
        hint="write KEY: VALUE below it",
    ),
    Wrong(
        "text-service",
        "services: {web: busybox}",
        "expected a mapping, not text",
        place="1:12",
        hint="write KEY: VALUE below it",
    ),
    Wrong(
        "blank-in-name",
        "services: {'a b': {image: a}}",
        '"a b" is no name',
        place="1:12",
        hint="use letters, digits, . _ and - only",
    ),
    Wrong(
        "unknown-key",
        "services:\n  web:\n    imag: a\n    image: a",
        'unknown key "imag"',
        place="3:5",
        hint='did you mean "image"?',
    ),
    Wrong(
        "name-key",
        "services: {web: {image: a, name: b}}",
        'unknown key "name"',
        place="1:28",
        hint="a service is named by its key; or use container_name",
    ),
    Wrong(
        "number-name",
        "services: {1: {image: a}}",
        "a key must be text",
        place="1:12",
        hint='put it in quotes: "1"',
    ),
    Wrong(
        "repeated",
        "services:\n  web: {image: a}\n  web: {image: b}",
        'key "web" is set twice, first in line 2',
        place="3:3",
        hint="keep one of the two",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_services(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_services_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
