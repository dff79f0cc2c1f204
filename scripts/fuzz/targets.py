"""What is fuzzed: each target takes bytes, and may raise nothing but the loader's own errors."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from orchestra.errors import SpecError, UsageError
from orchestra.spec import shorthand, units
from orchestra.spec.discovery import normal_name
from orchestra.spec.document import dump_yaml, read_documents
from orchestra.spec.environment import parse_dotenv, parse_raw
from orchestra.spec.findings import Findings, Misfit
from orchestra.spec.loader import LoadOptions, load_project, render_project
from orchestra.spec.paths import absolute
from orchestra.spec.template import substitute
from orchestra.spec.tree import Value

Target = Callable[[bytes], None]

SEPARATOR = b"\n%%% "
"""Parts a loader's input into files: ``%%% NAME`` begins each but the first, compose.yaml."""

VARIABLES = {"A": "1", "B": "two", "EMPTY": "", "DOLLAR": "$A", "LONG": "x" * 100, "HOME": "/h"}
_NAMES = ("over.yaml", "base.yaml", "part/compose.yaml", ".env", "web.env")


def document(data: bytes) -> None:
    """Read YAML, and write it again."""
    for found in read_documents(data, "fuzz.yaml", Findings()):
        text = dump_yaml(_plain(found.tree))
        (again,) = read_documents(text.encode(), "again.yaml", Findings())
        assert repr(_plain(again.tree)) == repr(_plain(found.tree)), "no round trip"


def _plain(tree: Value) -> Value:
    if isinstance(tree, dict):
        return {key: _plain(value) for key, value in tree.items()}
    return [_plain(value) for value in tree] if isinstance(tree, list) else tree


def template(data: bytes) -> None:
    """Replace variables."""
    with suppress(Misfit):
        substitute(data.decode("utf-8", "replace"), VARIABLES.get, lambda _name: None)


_TEXTS: tuple[Callable[[str], object], ...] = (
    shorthand.expand_port,
    shorthand.expand_volume,
    shorthand.expand_device,
    shorthand.expand_host,
    shorthand.split_command,
    shorthand.idle_options,
    units.parse_duration,
    units.parse_size,
    units.parse_flag,
    normal_name,
    lambda text: absolute(text, "/base", "/home"),
)


def shorthands(data: bytes) -> None:
    """Read one of the short syntaxes; the first byte chooses which."""
    if data:
        with suppress(ValueError):
            _TEXTS[data[0] % len(_TEXTS)](data[1:].decode("utf-8", "replace"))


def dotenv(data: bytes) -> None:
    """Read variables from a file's text."""
    text = data.decode("utf-8", "replace")
    with suppress(Misfit):
        parse_raw(text, VARIABLES.get)
    with suppress(Misfit):
        parse_dotenv(text, VARIABLES.get, {"KNOWN": "k"})


def files_of(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield names and contents of the files that an input stands for."""
    first, *rest = data.split(SEPARATOR)
    yield "compose.yaml", first
    for part in rest:
        name, _, content = part.partition(b"\n")
        text = name.decode("utf-8", "replace").strip()
        if text in _NAMES:
            yield text, content


def loader(data: bytes) -> None:
    """Load whole projects, render them, and read what was rendered."""
    directory = Path(tempfile.mkdtemp(prefix="fuzz", dir=_memory()))
    try:
        files = dict(files_of(data))
        for name, content in files.items():
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_bytes(content)
        names = tuple(name for name in ("compose.yaml", "over.yaml") if name in files)
        with suppress(SpecError, UsageError):
            _round(directory, names)
    finally:
        shutil.rmtree(directory)


def _memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _round(directory: Path, names: tuple[str, ...]) -> None:
    options = LoadOptions(files=names, project_name="fuzz", profiles=("*",))
    project = load_project(options, VARIABLES, directory)
    json.dumps(render_project(project, json_shape=True))
    shown = render_project(project)
    (directory / "shown.yaml").write_text(dump_yaml(shown), encoding="utf-8")
    again = LoadOptions(files=("shown.yaml",), profiles=("*",))
    if not _has_dollar_keys(shown):  # docker compose doubles them too, and does not read them so
        assert render_project(load_project(again, VARIABLES, directory)) == shown, "no round trip"


def _has_dollar_keys(tree: Value) -> bool:
    if isinstance(tree, dict):
        return any("$" in key or _has_dollar_keys(value) for key, value in tree.items())
    return isinstance(tree, list) and any(map(_has_dollar_keys, tree))


TARGETS: dict[str, Target] = {
    "document": document,
    "template": template,
    "shorthand": shorthands,
    "dotenv": dotenv,
    "loader": loader,
}
