"""Which files, which directory, which variables, which name."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from orchestra.errors import SpecError, SpecErrors
from orchestra.spec.loader import LoadOptions, load_project
from orchestra.spec.naming import discover, project_name_of

WEB = "services: {web: {image: 'web:${TAG:-none}'}}\n"


def names(
    directory: Path, environment: dict[str, str] | None = None, **options: object
) -> list[str]:
    found = discover(LoadOptions(**options), environment or {}, directory)  # type: ignore[arg-type]
    return [str(Path(file).relative_to(directory.anchor)) and Path(file).name for file in found]


@pytest.mark.parametrize(
    "name", ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"]
)
def test_default_names(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(WEB)
    assert names(tmp_path) == [name]


def test_the_first_default_name_wins_with_a_warning(tmp_path: Path) -> None:
    for name in ("docker-compose.yml", "compose.yaml"):
        (tmp_path / name).write_text(WEB)
    project = load_project(LoadOptions(), {}, tmp_path)
    assert [Path(file).name for file in project.compose_files] == ["compose.yaml"]
    assert any("docker-compose.yml" in warning for warning in project.warnings)


def test_the_override_file_is_taken_too(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(WEB)
    (tmp_path / "compose.override.yaml").write_text("services: {web: {tty: true}}\n")
    assert names(tmp_path) == ["compose.yaml", "compose.override.yaml"]
    assert load_project(LoadOptions(), {}, tmp_path).services["web"].tty
    assert names(tmp_path, files=("compose.yaml",)) == ["compose.yaml"]


def test_parent_directories_are_searched(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(WEB)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    project = load_project(LoadOptions(), {}, below)
    assert project.working_dir == str(tmp_path)


def test_no_file_at_all(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no Compose file") as caught:
        load_project(LoadOptions(), {}, tmp_path)
    assert "compose.yaml" in (caught.value.hint or "")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecErrors) as caught:
        load_project(LoadOptions(files=("other.yaml",)), {}, tmp_path)
    assert "other.yaml" in str(caught.value.errors[0].location)


def test_compose_file_and_its_separator(tmp_path: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(WEB)
    assert names(tmp_path, {"COMPOSE_FILE": "a.yaml:b.yaml"}) == ["a.yaml", "b.yaml"]
    other = {"COMPOSE_FILE": "a.yaml,b.yaml", "COMPOSE_PATH_SEPARATOR": ","}
    assert names(tmp_path, other) == ["a.yaml", "b.yaml"]
    assert names(tmp_path, other, files=("b.yaml",)) == ["b.yaml"]


def test_compose_file_from_dotenv(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(WEB)
    (tmp_path / ".env").write_text("COMPOSE_FILE=a.yaml\n")
    assert names(tmp_path) == ["a.yaml"]


def test_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(WEB.encode())))
    project = load_project(LoadOptions(files=("-",)), {}, tmp_path)
    assert project.working_dir == str(tmp_path)
    assert list(project.services) == ["web"]


def image(directory: Path, environment: dict[str, str], **options: tuple[str, ...]) -> str | None:
    return load_project(LoadOptions(**options), environment, directory).services["web"].image


def test_precedence_of_variables(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(WEB)
    assert image(tmp_path, {}) == "web:none"
    (tmp_path / ".env").write_text("TAG=dotenv\n")
    (tmp_path / "one.env").write_text("TAG=one\n")
    (tmp_path / "two.env").write_text("TAG=two\n")
    assert image(tmp_path, {}) == "web:dotenv"
    assert image(tmp_path, {}, env_files=("one.env",)) == "web:one"
    assert image(tmp_path, {}, env_files=("one.env", "two.env")) == "web:two"
    assert image(tmp_path, {"TAG": "process"}, env_files=("one.env",)) == "web:process"
    assert image(tmp_path, {"COMPOSE_ENV_FILES": "one.env,two.env"}) == "web:two"
    assert image(tmp_path, {"COMPOSE_DISABLE_ENV_FILE": "1"}) == "web:none"


def test_a_missing_env_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(WEB)
    with pytest.raises(SpecError, match=r"no\.env"):
        image(tmp_path, {}, env_files=("no.env",))


def test_a_malformed_dotenv_is_placed(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(WEB)
    (tmp_path / ".env").write_text("A=1\nB C=1\n")
    with pytest.raises(SpecError) as caught:
        image(tmp_path, {})
    assert str(caught.value.location) == f"{tmp_path}/.env:2"


def test_precedence_of_names(tmp_path: Path) -> None:
    home = tmp_path / "My.Project_1"
    home.mkdir()
    (home / "compose.yaml").write_text(WEB)
    assert project_name_of(LoadOptions(), {}, home) == "myproject_1"
    (home / "compose.yaml").write_text("name: from-${WHO:-file}\n" + WEB)
    assert project_name_of(LoadOptions(), {}, home) == "from-file"
    assert project_name_of(LoadOptions(), {"WHO": "me"}, home) == "from-me"
    assert project_name_of(LoadOptions(), {"COMPOSE_PROJECT_NAME": "env"}, home) == "env"
    asked = LoadOptions(project_name="asked")
    assert project_name_of(asked, {"COMPOSE_PROJECT_NAME": "env"}, home) == "asked"
    assert load_project(asked, {}, home).name == "asked"
    (home / ".env").write_text("COMPOSE_PROJECT_NAME=dotenv\n")
    assert project_name_of(LoadOptions(), {}, home) == "dotenv"


@pytest.mark.parametrize("name", ["Upper", "a b", "-x", "_x", "a/b", "../x", "a\x1b[0m", "a.b"])
def test_invalid_names_that_were_asked_for(tmp_path: Path, name: str) -> None:
    with pytest.raises(SpecError, match="invalid project name"):
        project_name_of(LoadOptions(project_name=name), {}, tmp_path)


def test_the_name_costs_no_model(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(WEB)
    code = (
        "import sys, pathlib\n"
        "from orchestra.spec.naming import LoadOptions, project_name_of\n"
        "project_name_of(LoadOptions(), {}, pathlib.Path(sys.argv[1]))\n"
        "assert not {'pydantic', 'orchestra.spec.normalize'} & sys.modules.keys()\n"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=root)


def test_profiles_come_from_options_then_variables(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services: {a: {image: a, profiles: [p]}, b: {image: b, profiles: [q]}, c: {image: c}}\n"
    )

    def active(environment: dict[str, str], *profiles: str) -> str:
        project = load_project(LoadOptions(profiles=profiles), environment, tmp_path)
        return "".join(project.services) + "/" + "".join(project.disabled_services)

    assert active({}) == "c/ab"
    assert active({}, "p") == "ac/b"
    assert active({"COMPOSE_PROFILES": "p, q"}) == "abc/"
    assert active({"COMPOSE_PROFILES": "q"}, "p") == "ac/b"
    assert active({}, "*") == "abc/"


def test_selected_services_bring_their_dependencies(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services:\n"
        "  web: {image: a, depends_on: [db]}\n"
        "  db: {image: b, networks: [back]}\n"
        "  other: {image: c, env_file: absent.env, volumes: ['v:/v']}\n"
        "  tool: {image: d, profiles: [p]}\n"
        "networks: {back: }\n"
        "volumes: {v: }\n"
    )
    project = load_project(LoadOptions(services=("web",)), {}, tmp_path)
    assert list(project.services) == ["db", "web"]
    assert list(project.networks) == ["back", "default"]
    assert project.volumes == {}
    assert list(load_project(LoadOptions(services=("tool",)), {}, tmp_path).services) == ["tool"]
