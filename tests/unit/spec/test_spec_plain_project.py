"""A project's name that is plain to see is the one that the whole search finds."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestra.errors import OrchestraError
from orchestra.spec import discovery, plain_project
from orchestra.spec.discovery import LoadOptions
from orchestra.spec.naming import project_name_of
from orchestra.spec.plain_name import NotPlainError
from orchestra.spec.plain_project import plain_project_name

ENV_LINES = st.sampled_from(
    [
        "A=1", "B=x/y:z", "# c", "", "C", "export D=1", "E='q'", "F=${A}", " G=1", "H=a b", "I=", "=x",
        "COMPOSE_PROJECT_NAME=other", "COMPOSE_FILE=b.yaml", "1J=2", "K-L=1", "M=é", "N=a #c", "O: p", "P=1\r",
    ]
)  # fmt: skip
NAMES = st.sampled_from([None, "shop", "Shop", "_x", "a-b", "über", ""])


def by_search(here: Path, environment: dict[str, str], options: LoadOptions) -> str | None:
    try:
        return project_name_of(options, environment, here)
    except OrchestraError:
        return None


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    place=st.sampled_from(["", "sub", "Some Dir", "_"]),
    inside=st.sets(st.sampled_from([*discovery.FILE_NAMES, *discovery.OVERRIDE_NAMES, "b.yaml"]), max_size=3),
    above=st.booleans(),
    head=st.sampled_from(["", "name: shop\n", "name: ${X}\n", "name: 'q'\n"]),
    lines=st.none() | st.lists(ENV_LINES, max_size=4),
    asked=NAMES,
    known=NAMES,
    files=st.sampled_from([(), ("b.yaml",), ("-",), ("nothing.yaml",), ("sub/../b.yaml", "compose.yaml")]),
)  # fmt: skip
def test_what_is_plain_is_what_is_found(
    tmp_path_factory: pytest.TempPathFactory, place, inside, above, head, lines, asked, known, files
) -> None:
    root = tmp_path_factory.mktemp("project")
    here = root / place
    here.mkdir(exist_ok=True)
    for name in inside:
        (here / name).write_text(head + "services: {}\n")
    if above:
        (root / "compose.yml").write_text("name: above\nservices: {}\n")
    if lines is not None:
        (here / ".env").write_text("\n".join(lines))
    environment = {} if known is None else {"COMPOSE_PROJECT_NAME": known}
    try:
        name = plain_project_name(environment, str(here), files=files, asked=asked)
    except NotPlainError:
        return
    options = LoadOptions(files=files, project_name=asked)
    assert name == by_search(here, environment, options)


def test_the_usual_project_is_plain(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("name: shop\nservices:\n  web: {image: x}\n")
    (tmp_path / ".env").write_text("# ours\nPORT=8080\nIMAGE=registry.example/x:1\n")
    assert plain_project_name({}, str(tmp_path)) == "shop"
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    (tmp_path / "deep").mkdir()
    assert plain_project_name({}, str(tmp_path / "deep")) == tmp_path.name.lower()
    assert plain_project_name({"COMPOSE_PROJECT_NAME": "mine"}, str(tmp_path)) == "mine"
    assert plain_project_name({}, str(tmp_path), asked="asked") == "asked"


def test_both_look_for_the_same_files() -> None:
    assert plain_project.FILE_NAMES == discovery.FILE_NAMES
    assert plain_project.OVERRIDE_NAMES == discovery.OVERRIDE_NAMES
