"""``config``: each of docker compose's flags, digests of a real registry, and --explain."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.registry import serve_registry

from orchestra.cli import app

COMPOSE = """\
name: shop
services:
  web:
    image: web:${TAG:-1}
    build: {args: [UNKNOWN]}
    env_file: app.env
    environment: {DEBUG: "${DEBUG:?say so}"}
    volumes: ["./data:/data/", "cache:/cache"]
    ports: ["${PORT-80}:80"]
    scale: 2
    deploy: {labels: {a: b}}
    models: [llm]
    depends_on: [db]
  db: {image: postgres, pre_start: [{image: alpine, command: "true"}]}
  spare: {image: redis, profiles: [extra]}
volumes: {cache: , unused: }
models: {llm: {model: ai/small}, other: {model: ai/large}}
"""

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``config`` with some words in a project's directory and return its output."""
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "app.env").write_text("MODE=fast\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEBUG", "yes")
    for name in ("TAG", "PORT", "UNKNOWN"):
        monkeypatch.delenv(name, raising=False)

    def config(*words: str, code: int = 0) -> str:
        capsys.readouterr()
        assert app.run(["config", *words]) == code, capsys.readouterr().err
        said = capsys.readouterr()
        return said.out if code == 0 else said.err

    return config


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["--services"], ["db", "web"]),
        (["--services", "web"], ["db", "web"]),
        (["--services", "--no-interpolate"], ["db", "spare", "web"]),
        (["--volumes", "--no-interpolate"], ["cache"]),
        (["--networks", "--no-interpolate"], ["default"]),
        (["--models", "--no-interpolate"], ["ai/small"]),
        (["--profiles", "--no-interpolate"], ["extra"]),
        (["--images", "--no-interpolate"], ["postgres", "alpine", "web:${TAG:-1}"]),
        (["--volumes"], ["cache"]),
        (["--networks"], ["default"]),
        (["--models"], ["ai/small"]),
        (["--profiles"], ["extra"]),
        (["--images"], ["postgres", "alpine", "web:1"]),
        (["--images", "db"], ["postgres", "alpine"]),
        (["--services", "--images"], ["db", "web"]),
    ],
    ids=" ".join,
)
def test_lists(run: Run, words: list[str], lines: list[str]) -> None:
    assert run(*words).splitlines() == lines


def test_lists_of_names_do_not_read_env_files(run: Run, tmp_path: Path) -> None:
    (tmp_path / "app.env").unlink()
    assert run("--services").splitlines() == ["db", "web"]
    assert "app.env" in run("--images", code=3)
    assert "app.env" in run("--quiet", code=3)
    run("--no-env-resolution", "--quiet")


def test_hashes_are_of_the_active_services_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(
        "services: {web: {image: w, models: [llm]}, db: {image: d}, "
        "spare: {image: s, profiles: [extra]}}\nmodels: {llm: {model: m}}\n"
    )
    lines = run("--hash", "db").splitlines()
    assert [line.split()[0] for line in lines] == ["db"]
    assert len(lines[0].split()[1]) == 64
    assert lines == run("--hash", "db").splitlines()
    assert 'no service "spare" to hash' in run("--hash", "db,spare", code=2)


def test_without_interpolation_values_stay_as_written(run: Run, tmp_path: Path) -> None:
    shown = json.loads(run("--no-interpolate", "--format", "json"))
    web = shown["services"]["web"]
    assert web["image"] == "web:${TAG:-1}"
    assert web["environment"] == {"DEBUG": "${DEBUG:?say so}"}
    assert web["ports"] == ["${PORT-80}:80"]
    assert web["env_file"] == [{"path": str(tmp_path / "app.env"), "required": True}]
    assert web["build"]["args"] == ["UNKNOWN"]
    assert set(shown["services"]) == {"db", "spare", "web"}
    assert "DEBUG" not in run(
        "--no-interpolate", "--format", "json", "--lock-image-digests", code=5
    )


def test_without_interpolation_unknown_keys_are_still_refused(run: Run, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: a, build: {contxt: .}}}\n")
    assert 'did you mean "context"?' in run("--no-interpolate", code=3)


@pytest.mark.parametrize(
    ("flag", "path", "expected"),
    [
        ("--no-normalize", "services.web.networks", None),
        ("--no-normalize", "services.web.build.dockerfile", None),
        ("--no-normalize", "services.web.volumes.0.target", "/data"),
        ("--no-normalize", "volumes.cache", {}),
        ("--no-path-resolution", "services.web.volumes.0.source", "./data"),
        ("--no-path-resolution", "services.web.build.context", "."),
        ("--no-consistency", "services.web.deploy.replicas", None),
        ("--no-env-resolution", "services.web.environment", {"DEBUG": "yes"}),
        ("--no-env-resolution", "services.web.env_file", [{"path": "$HERE/app.env"}]),
        ("--format=json", "services.web.environment", {"DEBUG": "yes", "MODE": "fast"}),
        ("--format=json", "services.web.deploy.replicas", 2),
    ],
)
def test_phases_left_out(run: Run, tmp_path: Path, flag: str, path: str, expected: object) -> None:
    shown = json.loads(run(flag, "--format", "json").replace(str(tmp_path), "$HERE"))
    for key in path.split("."):
        shown = shown[int(key)] if isinstance(shown, list) else shown.get(key)
    assert shown == expected


def test_without_consistency_what_is_missing_is_no_error(run: Run, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text("services: {web: {image: a, depends_on: [gone]}}\n")
    assert "gone" in run("-q", code=3)
    assert "gone" in run("--no-consistency")


def test_variables_as_table_json_and_yaml(run: Run) -> None:
    table = run("--variables").splitlines()
    assert table[0].split("  ")[0] == "NAME"
    assert [line.split() for line in table[1:]] == [
        ["DEBUG", "true"],
        ["PORT", "false", "80"],
        ["TAG", "false", "1"],
    ]
    assert table[2].index("80") == 40
    document = json.loads(run("--variables", "--format", "json"))
    assert document["TAG"] == {
        "Name": "TAG", "DefaultValue": "1", "PresenceValue": "", "Required": False,
    }  # fmt: skip
    assert "PORT:\n    name: PORT\n" in run("--variables", "--format", "yaml")
    assert "no value of --format" in run("--variables", "--format", "xml", code=2)


def test_the_environment_has_the_name_of_the_project(run: Run) -> None:
    for words in ((), ("--no-interpolate",)):
        lines = run("--environment", *words).splitlines()
        assert {"COMPOSE_PROJECT_NAME=shop", "DEBUG=yes"} <= set(lines)
        assert lines == sorted(lines)


def test_what_needs_values_is_not_combined_with_no_interpolate(run: Run) -> None:
    for words in (("--hash", "*"), ("--explain", "name")):
        assert "cannot be combined" in run(*words, "--no-interpolate", code=2)


def test_output_goes_to_a_file(run: Run, tmp_path: Path) -> None:
    assert run("-o", "out.yaml") == ""
    assert (tmp_path / "out.yaml").read_text() == run()


def test_what_it_prints_loads_again_to_the_same(run: Run, tmp_path: Path) -> None:
    first = run()
    (tmp_path / "compose.yaml").write_text(first)
    assert run() == first


def test_images_are_pinned_to_what_the_registry_says(run: Run, tmp_path: Path) -> None:
    with serve_registry() as registry:
        media = "application/vnd.oci.image.manifest.v1+json"
        web = registry.put("shop/web", "latest", media, b'{"schemaVersion":2}')
        mount = registry.put("data", "2", media, b'{"schemaVersion":2,"x":1}')
        at = registry.address
        (tmp_path / "compose.yaml").write_text(
            f"services:\n  web:\n    image: {at}/shop/web\n"
            f"    volumes: [{{type: image, source: '{at}/data:2', target: /d}}, './x:/x']\n"
            f"    pre_start: [{{image: '{at}/data:2', command: x}}]\n"
            f"  same: {{image: '{at}/shop/web:latest@{web}'}}\n  built: {{build: .}}\n"
            f"  other: {{image: '{at}/shop/web', volumes: "
            "[{type: image, source: web, target: /w}]}\n"
        )
        pinned = json.loads(run("--resolve-image-digests", "--format", "json"))["services"]
        assert pinned["web"]["image"] == f"{at}/shop/web:latest@{web}"
        assert pinned["web"]["volumes"][0]["source"] == f"{at}/data:2@{mount}"
        assert pinned["web"]["pre_start"][0]["image"] == f"{at}/data:2@{mount}"
        assert pinned["same"]["image"] == f"{at}/shop/web@{web}"
        assert pinned["other"]["volumes"][0]["source"] == "web"
        assert "image" not in pinned["built"]
        asked = registry.paths("/manifests/")
        assert len(asked) == 2, "each image is asked for once"
        for flags in (("--lock-image-digests",), ("--lock-image-digests", "--no-interpolate")):
            locked = run(*flags)
            assert locked.startswith("services:\n  built: {}\n  other:\n    image: ")
            assert f"source: {at}/data:2@{mount}" in locked
            assert "pre_start" not in locked
            assert "./x" not in locked
        (tmp_path / "lock.yaml").write_text(run("--lock-image-digests"))
        assert app.run(["-f", "compose.yaml", "-f", "lock.yaml", "config", "-q"]) == 0


def test_an_image_without_a_digest_is_named(run: Run, tmp_path: Path) -> None:
    with serve_registry() as registry:
        at = registry.address
        (tmp_path / "compose.yaml").write_text(
            f"services: {{a: {{image: '{at}/gone:1'}}, b: {{image: '{at}/lost:2'}}}}\n"
        )
        said = run("--resolve-image-digests", code=5)
    assert f'"{at}/gone:1"' in said
    assert f'"{at}/lost:2"' in said


def test_explain_says_what_won_and_what_it_overrode(run: Run, tmp_path: Path) -> None:
    (tmp_path / "compose.override.yaml").write_text("services: {web: {image: 'web:2'}}\n")
    assert run("--explain", "services.web.image").replace(f"{tmp_path}/", "") == (
        'services.web.image: "web:2"\n'
        '  written in the override file compose.override.yaml:1:18: "web:2"\n'
        '  over: written in compose.yaml:4:5: "web:${TAG:-1}"\n'
    )
    (one,) = json.loads(run("--explain", "services.web.environment.DEBUG", "--format", "json"))
    assert one["from"]["variables"] == [{"name": "DEBUG", "from": "shell"}]
    assert one["overrode"] == []


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("services.web.imag", 'did you mean "services.web.image"?'),
        ("web.image", 'did you mean "services.web.image"?'),
        ("services.wep", 'did you mean "services.web"?'),
        ("services.web.image.x", 'there is only "services.web.image"'),
        ("services.web.ports.7", "keys there: 0"),
        ("services.spare.image", "activate one of its profiles"),
    ],
)
def test_a_key_that_is_not_there_is_told_with_the_nearest(run: Run, key: str, hint: str) -> None:
    assert hint in run("--explain", key, code=2)
