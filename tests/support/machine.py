"""A machine of a test's own, and commands run on it in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.registry import Registry, serve_registry

from orchestra.cli import app
from orchestra.engine.image.store import ImageStore
from orchestra.engine.paths import Paths, paths_of

Run = Callable[..., tuple[int, str, str]]
"""Runs a command's words; gives its exit code, output and messages."""


def own_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Let commands keep everything below the test's directory."""
    for name, place in (("DATA", "data"), ("RUN", "run"), ("CONFIG", "config.toml")):
        monkeypatch.setenv(f"ORCHESTRA_{name}", str(tmp_path / place))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.delenv("ORCHESTRA_REGISTRY_MIRROR", raising=False)
    return paths_of({"ORCHESTRA_DATA": str(tmp_path / "data")}, uid=0)


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Give a machine of the test's own, below its directory, where the test then is."""
    monkeypatch.chdir(tmp_path)
    return own_paths(tmp_path, monkeypatch)


@pytest.fixture
def store(paths: Paths) -> ImageStore:
    return ImageStore(paths)


@pytest.fixture
def registry() -> Iterator[Registry]:
    with serve_registry() as running:
        yield running


@pytest.fixture
def run(paths: Paths, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = app.run(list(words))
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call
