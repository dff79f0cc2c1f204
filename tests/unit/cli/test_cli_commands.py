"""The command line as such: commands found by name, hints, exit codes, the reference page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestra import errors
from orchestra.cli import app
from orchestra.cli.version import VERSION
from scripts.cli_reference import pages, render

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("name", sorted(app.every_command()))
def test_every_command_has_a_module_and_a_help_text(name: str) -> None:
    assert callable(app.body_of(name))
    assert app.every_command()[name] in " ".join(pages()[name].split())


def test_every_module_of_commands_is_a_command() -> None:
    root = ROOT / "orchestra/cli/commands"
    found = {
        ".".join(path.relative_to(root).with_suffix("").parts) for path in root.rglob("[a-z]*.py")
    }
    assert found == {app.module_of(name) for name in app.every_command()}


def test_the_reference_page_is_up_to_date() -> None:
    assert (ROOT / "docs/cli.md").read_text(encoding="utf-8") == render(), "run `make docs`"


def test_no_arguments_give_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run([]) == 0
    assert capsys.readouterr().out.startswith("Usage: orchestra ")


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["pss"], 'unknown command "pss"', "did you mean ps?"),
        (["frobnicate"], 'unknown command "frobnicate"', "see `orchestra --help`"),
        (["ps", "--nope"], "no such option: --nope", "see `orchestra ps --help`"),
        (["exec"], "missing parameter: service", "see `orchestra exec --help`"),
        (["config", "--format", "xml"], '"xml" is no value of --format', "use yaml, json"),
        (["ls", "--format", "{{.ID}}"], '"{{.ID}}" is no value of --format', "use table, json"),
        (["ps", "--format", "{{.ID"], "cannot use the format", "write it as {{.Name}}"),
        (["ps", "--status", "happy"], '"happy" is no status', "use created"),
        (["ps", "--filter", "a=b"], 'invalid filter "a=b"', "use --filter status="),
        (["ls", "--filter", "name=("], 'invalid filter "name=("', "use a regex"),
        (["up", "--scale", "web"], 'cannot scale "web"', "SERVICE=NUM"),
        (["up", "--build", "--no-build"], "--build and --no-build", ""),
        (["run", "-d", "--rm", "web"], "--detach and --rm cannot be combined", "leave out one"),
        (["run", "-P", "-p", "1:1", "web"], "--service-ports and --publish cannot", ""),
        (["up", "--pull", "maybe"], '"maybe" is no value of --pull', "use always"),
        (["run", "--pull", "maybe", "web"], '"maybe" is no value of --pull', "use always"),
        (["down", "--rmi", "some"], '"some" is no value of --rmi', "local"),
        (["logs", "--tail", "few"], '"few" is no number of lines', "all"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_line_is_told_in_one_line_with_a_hint(
    words: list[str],
    message: str,
    hint: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: busybox}}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORCHESTRA_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ORCHESTRA_RUN", str(tmp_path / "run"))
    assert app.run(words) == errors.UsageError.exit_code
    lines = capsys.readouterr().err.splitlines()
    assert message in lines[0]
    assert hint in "".join(lines[1:])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.UsageError, 2),
        (errors.SpecError, 3),
        (errors.PlanError, 4),
        (errors.EngineError, 5),
        (errors.ContainerError, 5),
        (errors.GateError, 6),
        (errors.BugError, 70),
        (errors.Interrupted, 130),
    ],
)
def test_exit_codes_that_scripts_rely_on(error: type[errors.OrchestraError], code: int) -> None:
    assert error.exit_code == code
    assert f"| {code} |" in render() or error is errors.ContainerError


def test_version_has_docker_composes_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["version", "--short"]) == 0
    assert app.run(["version", "--format", "json"]) == 0
    assert app.run(["version"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        VERSION,
        f'{{"version":"v{VERSION}"}}',
        f"Orchestra version v{VERSION}",
    ]


def test_a_wrong_file_is_told_with_its_place_and_code_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "compose.yaml").write_text("services:\n  web:\n    imag: busybox\n")
    monkeypatch.chdir(tmp_path)
    assert app.run(["config", "-q"]) == errors.SpecError.exit_code
    said = capsys.readouterr().err
    assert "compose.yaml:3:5: services.web" in said
    assert "imag" in said


def test_config_warns_on_stderr_and_keeps_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "version: '3'\nname: shop\nservices: {web: {image: busybox, labels: {a: ärger}}}\n"
    (tmp_path / "compose.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert app.run(["config", "--format", "json"]) == 0
    said = capsys.readouterr()
    assert "ärger" in said.out
    assert said.err.startswith("warning: ")
    assert said.err.count("\n") == 1


def test_config_prints_hashes_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: busybox}}\n")
    (tmp_path / ".env").write_text("COLOUR=blue\n")
    monkeypatch.chdir(tmp_path)
    assert app.run(["config", "--hash", "*"]) == 0
    assert re.fullmatch(r"web [0-9a-f]{64}\n", capsys.readouterr().out)
    assert app.run(["config", "--environment"]) == 0
    assert "COLOUR=blue\n" in capsys.readouterr().out
