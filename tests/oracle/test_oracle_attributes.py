"""Docker Compose says the same as the tables of tests/unit/spec/attributes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from support import oracle
from support.attributes import Case, Wrong, at, environment_of, here

TABLES = sorted((Path(__file__).parents[1] / "unit/spec/attributes").glob("test_attribute_*.py"))


def _load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"oracle_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _verdict(case: Case | Wrong, directory: Path) -> oracle.Verdict:
    files = case.parts()
    names = files.write(directory)
    return oracle.config(
        names,
        directory,
        environment_of(files),
        project=case.project,
        profiles=case.profiles,
        shape=case.shape if isinstance(case, Case) else "json",
    )


@pytest.mark.parametrize(
    "table", TABLES, ids=lambda path: path.stem.removeprefix("test_attribute_")
)
def test_docker_compose_agrees(table: Path, tmp_path: Path) -> None:
    """Where it does not, the case says why in ``ours``; and it must not agree after all."""
    module = _load(table)
    wrongs: list[str] = []
    for case in module.CASES:
        directory = tmp_path / f"case-{case.id}"
        directory.mkdir()
        verdict = _verdict(case, directory)
        shown = here(at(verdict.tree, case.key or module.KEY), directory)
        if (verdict.error is None and shown == case.shown) == (case.ours is not None):
            wrongs.append(f"{case.id}: docker compose: {verdict.error or shown!r}; {case.ours}")
    for wrong in getattr(module, "WRONG", ()):
        directory = tmp_path / f"wrong-{wrong.id}"
        directory.mkdir()
        verdict = _verdict(wrong, directory)
        if (verdict.error is None) == (wrong.ours is None):
            wrongs.append(f"{wrong.id}: docker compose: {verdict.error or 'accepts'}; {wrong.ours}")
    assert not wrongs, "\n".join(wrongs)
