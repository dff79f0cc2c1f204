"""Docker Compose prints the same for the flags of ``config``, over the golden projects."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from support import oracle

from orchestra.cli import app

PROJECTS = Path(__file__).parents[1] / "golden" / "projects"
ENVIRONMENT = {"HOME": "/home/orc", "PATH": "/usr/bin:/bin", "SHELLED": "from the shell"}

WHOLE = (
    ("--no-interpolate",),
    ("--no-interpolate", "--no-normalize", "--no-path-resolution"),
    ("--no-normalize",),
    ("--no-path-resolution",),
    ("--no-consistency",),
    ("--no-env-resolution",),
    ("--no-normalize", "--no-path-resolution", "--no-consistency", "--no-env-resolution"),
    ("--variables", "--format", "json"),
    ("--variables", "--format", "yaml"),
    ("--profiles",),
)
LISTS = (
    ("--services",),
    ("--services", "--no-interpolate"),
    ("--volumes",),
    ("--networks",),
    ("--models",),
    ("--images",),
    ("--variables",),
)

OTHERWISE = {
    ("everything", "--no-interpolate"): "an argument to be taken from outside is kept, not lost",
    ("extends", "--no-interpolate"): "mappings that two files set stay mappings, not lists",
    ("extends", "--no-interpolate --no-normalize --no-path-resolution"): "the same",
}
"""Where ours differs, by project and flags, and why; an entry that is not needed fails."""


ANY_OF_SEVERAL = {("environment", "--variables")}
"""Several places give one variable other defaults, and docker compose prints any of these."""


@pytest.mark.parametrize("flags", [*WHOLE, *LISTS], ids=" ".join)
def test_docker_compose_prints_the_same(
    flags: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in os.environ:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    wrongs: list[str] = []
    for project in sorted(path for path in PROJECTS.iterdir() if path.is_dir()):
        if (project.name, flags[0]) in ANY_OF_SEVERAL:
            continue
        place = tmp_path / project.name
        shutil.copytree(project, place)
        (place / "parts/app").mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(place)
        monkeypatch.setenv("PWD", str(place))
        theirs = oracle.output(["config", *flags], place, {**ENVIRONMENT, "PWD": str(place)})
        capsys.readouterr()
        code = app.run(["config", *flags])
        ours = capsys.readouterr().out if code == 0 else None
        same = _comparable(theirs, flags) == _comparable(ours, flags)
        if same == ((project.name, " ".join(flags)) in OTHERWISE):
            wrongs.append(f"{project.name}: docker compose:\n{theirs}\nours:\n{ours}")
    assert not wrongs, "\n".join(wrongs)


def _comparable(text: str | None, flags: tuple[str, ...]) -> list[str] | None:
    """Lists come from docker compose in any order."""
    if text is None:
        return None
    lines = text.strip("\n").splitlines()
    return sorted(lines) if flags in LISTS else lines
