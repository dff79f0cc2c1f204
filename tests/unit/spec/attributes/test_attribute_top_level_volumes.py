"""volumes (compose-spec 07-volumes.md)."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.attributes import ABSENT, NULL, Case, Json, Wrong, check, check_wrong

KEY = "volumes"


def used(definition: str) -> str:
    """Return a project whose service uses the resource "one"."""
    return f"""
services: {{web: {{image: a, volumes: ['one:/x']}}}}
volumes: {{one: {definition}}}
"""


def over(definition: str) -> str:
    return f"# over\nvolumes: {{one: {definition}}}"


def shown(name: str = "orc_one", **more: Json) -> Json:
    return {"one": {"name": name, **more}}


def bound(device: str, **more: Json) -> Json:
    return shown(**more, driver_opts={"type": "none", "o": "bind", "device": device})


CASES = (
    Case("null", used(""), shown()),
    Case("empty", used("{}"), shown()),
    Case("name", used("{name: 'my_${V}'}"), shown("my_v"), env={"V": "v"}),
    Case("name-empty", used("{name: ''}"), {"one": {}}),
    Case("driver", used("{driver: local}"), shown(driver="local")),
    Case(
        "full",
        used(
            "{driver: foobar, driver_opts: {type: nfs, o: 'addr=10.40.0.199,nolock', device: ':/d', n: 3},"
            " labels: {a: b}, x-a: 1}"
        ),
        shown(
            driver="foobar",
            driver_opts={"type": "nfs", "o": "addr=10.40.0.199,nolock", "device": ":/d", "n": "3"},
            labels={"a": "b"},
        ),
    ),
    Case(
        "bind",
        used("{driver: local, driver_opts: {type: none, o: bind, device: ./d}}"),
        bound("$HERE/d", driver="local"),
    ),
    Case(
        "bind-home",
        used("{driver: local, driver_opts: {type: none, o: bind, device: ~/d}}"),
        bound("/home/orc/d", driver="local"),
    ),
    Case(
        "bind-absolute",
        used("{driver: local, driver_opts: {type: none, o: bind, device: /d}}"),
        bound("/d", driver="local"),
    ),
    Case("bind-no-driver", used("{driver_opts: {type: none, o: bind, device: ./d}}"), bound("./d")),
    Case(
        "bind-options",
        used("{driver: local, driver_opts: {o: 'bind,ro', device: ./d}}"),
        shown(driver="local", driver_opts={"o": "bind,ro", "device": "./d"}),
    ),
    Case("labels-list", used("{labels: [a=b, c]}"), shown(labels={"a": "b", "c": ""})),
    Case("external", used("{external: true}"), shown("one", external=True)),
    Case("external-text", used("{external: 'true', name: x}"), shown("x", external=True)),
    Case(
        "external-name",
        used("{external: {name: '${V}'}}"),
        shown("v", external=True),
        env={"V": "v"},
    ),
    Case("external-false", used("{external: false, driver: a}"), shown(driver="a")),
    Case("external-extension", used("{external: true, x-a: 1}"), shown("one", external=True)),
    Case("unused", "# one\nservices: {web: {image: a}}\nvolumes: {one: }", ABSENT),
    Case("null-driver", used("{driver: }"), shown(), ours=NULL),
    Case(
        "over",
        used("{driver: a, driver_opts: {a: b}, labels: {a: b}}"),
        shown(driver="b", driver_opts={"a": "c", "d": "e"}, labels={"a": "c"}),
        over=over("{driver: b, driver_opts: {a: c, d: e}, labels: [a=c]}"),
    ),
    Case("over-null", used("{driver: a}"), shown(driver="a"), over=over("")),
    Case(
        "override",
        used("{driver: a, labels: [a]}"),
        shown(driver="c"),
        over=over("!override {driver: c}"),
    ),
    Case("reset-labels", used("{labels: [a]}"), shown(), over=over("{labels: !reset []}")),
)

WRONG = (
    Wrong("text", used("x"), "expected a mapping, not text", place="2:11", hint="KEY: VALUE"),
    Wrong(
        "bad-name",
        "# n\nservices: {web: {image: a}}\nvolumes: {a b: }",
        '"a b" is no name',
        place="3:11",
    ),
    Wrong(
        "name-number", used("{name: 3}"), "expected text, not a number", place="2:17", hint="quotes"
    ),
    Wrong("driver-list", used("{driver: [a]}"), "expected text, not a list"),
    Wrong(
        "near",
        used("{drvier: x}"),
        'unknown key "drvier"',
        place="2:17",
        hint='did you mean "driver"?',
    ),
    Wrong("option-bool", used("{driver_opts: {a: true}}"), "text or a number, not true or false"),
    Wrong("options-list", used("{driver_opts: [a=b]}"), "expected a mapping, not a list"),
    Wrong("labels-number", used("{labels: 3}"), "KEY=VALUE, not a number"),
    Wrong("external-word", used("{external: maybe}"), "expected true or false, not text"),
    Wrong("external-number", used("{external: 3}"), "expected true or false, not a number"),
    Wrong("external-key", used("{external: {nam: x}}"), 'unknown key "nam"'),
    Wrong("external-two", used("{external: {name: x}, name: y}"), "contradict each other"),
    Wrong(
        "external-driver",
        used("{external: true, driver: local}"),
        "external and driver exclude each other",
        place="2:33",
        hint="keep name and external",
    ),
    Wrong(
        "external-options",
        used("{external: true, driver_opts: {a: b}}"),
        "external and driver_opts",
    ),
    Wrong("external-labels", used("{external: true, labels: [a]}"), "external and labels"),
    Wrong(
        "reset", used("{driver: a}"), 'no volume "one" in this project', over=over("!reset null")
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_volumes(case: Case, tmp_path: Path) -> None:
    check(case, KEY, tmp_path)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.id)
def test_volumes_refused(wrong: Wrong, tmp_path: Path) -> None:
    check_wrong(wrong, tmp_path)
