"""Whole projects: rendered, compared with golden files, and read again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestra.spec.document import dump_yaml
from orchestra.spec.loader import LoadOptions, load_project, render_project
from orchestra.spec.model.project import Project

PROJECTS = Path(__file__).parents[2] / "golden" / "projects"


@dataclass(frozen=True, slots=True)
class Case:
    directory: str
    files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()


CASES = {
    "short_forms": Case("short_forms"),
    "overrides": Case("overrides", ("compose.yaml", "sub/more.yaml")),
    "extends": Case("extends"),
    "include": Case("include"),
    "include_directory": Case("include_directory"),
    "environment": Case("environment"),
    "profiles": Case("profiles"),
    "profiles-debug": Case("profiles", profiles=("debug",)),
    "reset": Case("reset", ("compose.yaml", "over.yaml")),
    "everything": Case("everything", profiles=("a",)),
}


def load(case: Case) -> Project:
    options = LoadOptions(files=case.files, profiles=case.profiles)
    return load_project(options, {}, PROJECTS / case.directory)


@pytest.mark.parametrize("name", CASES)
def test_a_project_renders_as_its_golden_file(
    name: str, golden: Callable[[str, str], None]
) -> None:
    case = CASES[name]
    text = dump_yaml(render_project(load(case)))
    directory = str(PROJECTS / case.directory)
    golden(f"projects/{case.directory}/{name}.config", text.replace(directory, "/project"))


@pytest.mark.parametrize("name", CASES)
def test_what_is_rendered_loads_to_the_same_project(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    project = load(case)
    (tmp_path / "again.yaml").write_text(dump_yaml(render_project(project)))
    again = load_project(LoadOptions(files=("again.yaml",), profiles=case.profiles), {}, tmp_path)
    assert render_project(again) == render_project(project)
    for service, twin in zip(project.services.values(), again.services.values(), strict=True):
        assert twin == service


@pytest.mark.parametrize("name", CASES)
def test_the_json_shape_is_json(name: str) -> None:
    rendered = render_project(load(CASES[name]), json_shape=True)
    assert json.loads(json.dumps(rendered)) == rendered
    assert list(rendered) == sorted(rendered)


def test_the_json_shape_always_shows_command_and_entrypoint() -> None:
    services = render_project(load(CASES["profiles"]), json_shape=True)["services"]
    assert isinstance(services, dict)
    web = services["web"]
    assert isinstance(web, dict)
    assert web["command"] is None
    assert web["entrypoint"] is None


def test_the_json_shape_leaves_out_models_and_shows_empty_exec() -> None:
    rendered = render_project(load(CASES["everything"]), json_shape=True)
    assert "models" not in rendered
    assert '"exec": {"command": null}' in json.dumps(rendered)
