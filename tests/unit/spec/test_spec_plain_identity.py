"""Whatever a project can depend on changes its identity, also where its files are not read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestra.errors import OrchestraError
from orchestra.sources import code_digest
from orchestra.spec import plain_identity
from orchestra.spec.loader import LoadOptions, load_project, render_project
from orchestra.spec.plain_name import NotPlainError

COMPOSE = """\
name: shop
services:
  web: {image: "busybox:${TAG:-1}", environment: [PASSED], volumes: ["~/data:/data"]}
  spare: {image: redis, profiles: [extra]}
"""


class Shop:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.here = directory
        self.environment = {"HOME": "/root", "PATH": "/bin"}
        self.files: tuple[str, ...] = ()
        self.profiles: tuple[str, ...] = ()
        self.asked: str | None = None
        self.purpose = "run web"
        self.write("compose.yaml", COMPOSE)

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)

    def identity(self) -> tuple[str, str, str]:
        return plain_identity.plain_identity(
            self.purpose,
            self.environment,
            str(self.here),
            files=self.files,
            asked=self.asked,
            profiles=self.profiles,
        )


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_the_usual_project_is_plain(shop: Shop) -> None:
    name, key, code = shop.identity()
    assert (name, len(key), code) == ("shop", 64, code_digest())
    assert shop.identity() == (name, key, code)


def _variable(name: str) -> Callable[[Shop], None]:
    return lambda shop: shop.environment.update({name: "new"})


def _set(name: str, value: object) -> Callable[[Shop], None]:
    return lambda shop: setattr(shop, name, value)


def _deeper(shop: Shop) -> None:
    shop.here = shop.directory / "deep"
    shop.here.mkdir()


CHANGES: dict[str, Callable[[Shop], None]] = {
    "a value": lambda shop: shop.write("compose.yaml", COMPOSE.replace("redis", "valkey")),
    "a variable in a text": _variable("TAG"),
    "a variable that is passed": _variable("PASSED"),
    "the home directory": _variable("HOME"),
    "profiles by variable": _variable("COMPOSE_PROFILES"),
    "profiles": _set("profiles", ("extra",)),
    "the name by variable": _variable("COMPOSE_PROJECT_NAME"),
    "the name": _set("asked", "other"),
    "the purpose": _set("purpose", "run spare"),
    "an override file": lambda shop: shop.write("compose.override.yaml", "services: {}\n"),
    "the file named": _set("files", ("compose.yaml", "compose.yaml")),
    "an env file": lambda shop: shop.write(".env", "TAG=3\n"),
    "the directory": _deeper,
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_counts(shop: Shop, change: str) -> None:
    before = shop.identity()
    CHANGES[change](shop)
    assert shop.identity()[1] != before[1]


def test_other_variables_do_not_count(shop: Shop) -> None:
    before = shop.identity()
    shop.environment |= {"_": "/usr/bin/orchestra", "G": "1", "IMAGES": "x", "PASSE": "x"}
    assert shop.identity() == before


def test_other_code_is_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    before = shop.identity()
    monkeypatch.setattr(plain_identity, "code_digest", lambda: "other")
    assert shop.identity()[1] != before[1]
    assert shop.identity()[2] == "other"


@pytest.mark.parametrize(
    "text",
    [
        "include: [other.yaml]\n",
        "services: {web: {extends: {file: other.yaml, service: web}}}\n",
        "services: {web: {image: x, env_file: a.env}}\n",
        "services: {web: {image: x, label_file: a.labels}}\n",
        'services: {web: {image: "\\x24{TAG}"}}\n',
        "name: ${NAME}\nservices: {}\n",
    ],
)
def test_what_leads_elsewhere_is_not_plain(shop: Shop, text: str) -> None:
    shop.write("compose.yaml", text)
    with pytest.raises(NotPlainError):
        shop.identity()


def test_a_choice_of_files_is_not_plain(shop: Shop) -> None:
    shop.write("docker-compose.yml", COMPOSE)
    with pytest.raises(NotPlainError):
        shop.identity()
    shop.files = ("compose.yaml",)
    assert shop.identity()
    shop.files = ("-",)
    with pytest.raises(NotPlainError):
        shop.identity()


VALUES = st.sampled_from(
    [
        "x", "$A", "${A}", "${A:-${B}}", "${AB:+1}", "$$A", "${B-$A}", "'${A}'", '"${B}"', "A", "~/A",
        "'#${A}'", "é${A}", ">-\n        $A\n        B", "|\n        ${A}", "&x ${A}", "$A$B", "${BA}",
    ]
)  # fmt: skip
WORLDS = st.dictionaries(
    st.sampled_from(["A", "B", "AB", "BA", "HOME", "C"]), st.sampled_from("12")
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values=st.lists(VALUES, max_size=3), passed=st.booleans(), worlds=st.tuples(WORLDS, WORLDS))
def test_what_has_one_identity_becomes_one_project(
    tmp_path_factory: pytest.TempPathFactory, values, passed, worlds
) -> None:
    here = tmp_path_factory.mktemp("project")
    lines = [f"      K{number}: {value}" for number, value in enumerate(values)]
    body = "\n".join(["    environment:", *lines, *(["      A:"] if passed else [])])
    (here / "compose.yaml").write_text(f"services:\n  web:\n    image: x\n{body}\n")
    first, second = worlds

    def identity(world: dict[str, str]) -> str:
        return plain_identity.plain_identity("run web", world, str(here))[1]

    def project(world: dict[str, str]) -> object:
        try:
            return render_project(load_project(LoadOptions(), world, here))
        except OrchestraError as err:
            return str(err)

    if identity(first) == identity(second):
        assert project(first) == project(second)
