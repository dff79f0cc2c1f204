"""Tables of one attribute: what a file writes, and what ``config --format json`` makes of it.

A file of tests/unit/spec/attributes has a ``KEY``, its ``CASES`` and its ``WRONG``. The same tables
are put to Docker Compose's own loader by tests/oracle: what stands in them is what it says too.

docs/conformance.md names the table that shows each key of scripts/compose_keys.txt. A table shows
its ``KEY`` with everything below it, and so for each of ``COVERS``, where it has that; both are
written in the notation of compose_keys.txt and as plain literals, for they are read without running
the file. Of several tables that show a key the one with the longest claim is named, so that
``services.*.build`` may stand beside ``services.*.build.args``; no two make the same claim. What a
table is named for must be written in one of its ``CASES`` (text, over or a .yaml of files).
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from orchestra.errors import SpecError, SpecErrors
from orchestra.spec.loader import LoadOptions, load_project, render_project

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

ABSENT = "(absent)"
"""Expected where the key is not shown at all."""

PROJECT = "orc"
SERVICE = "services:\n  web:\n    image: busybox\n"
HOME = "/home/orc"

NULL = "it refuses a key without a value, its predecessor took the key as not given"
"""Why docker compose does otherwise about almost every key that is written and left empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The files of one case, by name below its directory, and the variables it is read with."""

    text: str
    over: str | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)

    def write(self, directory: Path) -> tuple[str, ...]:
        """Write everything below ``directory``; return the names of the Compose files."""
        for name, content in self.files.items():
            place = directory / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content, encoding="utf-8")
        (directory / "compose.yaml").write_text(self.text, encoding="utf-8")
        if self.over is None:
            return ("compose.yaml",)
        (directory / "over.yaml").write_text(self.over, encoding="utf-8")
        return ("compose.yaml", "over.yaml")


def whole(text: str) -> str:
    """Return a whole Compose file: ``text`` itself, or as attributes of the service "web"."""
    body = textwrap.dedent(text).strip("\n") + "\n"
    if body.startswith(("services:", "name:", "include:", "#")):
        return body
    return SERVICE + textwrap.indent(body, "    ")


@dataclass(frozen=True, slots=True)
class _Written:
    """``text`` and ``over``, a second file, are attributes of the service "web".

    They are whole files when they begin with ``services:``, ``name:``, ``include:`` or ``#``.
    ``ours`` says why docker compose does otherwise. ``project``: the -p they are read with.
    """

    id: str
    text: str
    over: str | None = field(default=None, kw_only=True)
    files: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    env: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    profiles: tuple[str, ...] = field(default=(), kw_only=True)
    project: str | None = field(default=PROJECT, kw_only=True)
    ours: str | None = field(default=None, kw_only=True)

    def parts(self) -> Files:
        return Files(
            text=whole(self.text),
            over=None if self.over is None else whole(self.over),
            files=self.files,
            env=self.env,
        )


@dataclass(frozen=True, slots=True)
class Case(_Written):
    """It is accepted, and ``shown`` at KEY, where ``*`` is "web" or the first name there.

    ``$HERE`` in ``shown`` stands for the project's directory; ``key`` looks elsewhere than at KEY;
    ``shape`` "yaml" looks at what ``config`` prints without ``--format json``, which leaves out
    the models and the x-* keys below the top.
    """

    shown: Json
    key: str | None = field(default=None, kw_only=True)
    shape: Literal["json", "yaml"] = field(default="json", kw_only=True)


@dataclass(frozen=True, slots=True)
class Wrong(_Written):
    """It is refused at ``place`` ("line:column" of the written file) with these words.

    ``$HERE`` in them stands for the project's directory.
    """

    message: str
    place: str | None = field(default=None, kw_only=True)
    hint: str | None = field(default=None, kw_only=True)


def environment_of(files: Files) -> dict[str, str]:
    return {"HOME": HOME, "PATH": "/usr/bin:/bin", **files.env}


def at(tree: Json, key: str) -> Json:
    """Return what stands at ``key``; a ``*`` is "web" where there is one, else the only name."""
    for part in key.split("."):
        if not isinstance(tree, dict):
            return ABSENT
        first = "web" if "web" in tree else next(iter(tree), "")
        tree = tree.get(first if part == "*" else part, ABSENT)
    return tree


def show(case: Case, directory: Path) -> Json:
    """Return the whole project of a case in the shape of ``config``, by default as JSON."""
    files = case.parts()
    names = files.write(directory)
    options = LoadOptions(files=names, project_name=case.project, profiles=case.profiles)
    project = load_project(options, environment_of(files), directory)
    return json.loads(json.dumps(render_project(project, json_shape=case.shape == "json")))


def here(value: Json, directory: Path) -> Json:
    """Return the value with ``directory`` written as $HERE."""
    return json.loads(json.dumps(value).replace(str(directory), "$HERE"))


def check(case: Case, key: str, directory: Path) -> None:
    """Fail unless the case shows what it says."""
    shown = at(show(case, directory), case.key or key)
    assert here(shown, directory) == case.shown


def refusals(wrong: Wrong, directory: Path) -> list[SpecError]:
    """Return the errors that loading ends with; none when it is accepted."""
    files = wrong.parts()
    names = files.write(directory)
    options = LoadOptions(files=names, project_name=wrong.project, profiles=wrong.profiles)
    try:
        load_project(options, environment_of(files), directory)
    except SpecErrors as errors:
        return list(errors.errors)
    except SpecError as error:
        return [error]
    return []


def check_wrong(wrong: Wrong, directory: Path) -> None:
    """Fail unless the case is refused once, at its place, in its words and with a hint."""
    errors = refusals(wrong, directory)
    assert len(errors) == 1, [str(error) for error in errors]
    (error,) = errors
    assert wrong.message in error.message.replace(str(directory), "$HERE")
    if wrong.place is not None:
        assert error.location is not None
        assert f"{error.location.line}:{error.location.column}" == wrong.place
    if wrong.hint is not None:
        assert wrong.hint in (error.hint or "").replace(str(directory), "$HERE")
