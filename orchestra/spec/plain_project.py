"""The name of a project whose files are where they usually are and written as nearly all are.

``exec`` and ``ps`` need nothing else of the files, and what finds a name in every case
(``naming.py``) takes longer to import than they take to answer. Whatever is not plain, wrong
things included, is left to that one.
"""

from __future__ import annotations

import os

from orchestra.spec.plain_name import NotPlainError, plain_name_in
from orchestra.spec.reading import is_file, read_limited

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# those of discovery.py, which a test compares
FILE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDE_NAMES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
_LARGEST_BYTES = 64 * 1024
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_VARIABLE = _LETTERS | frozenset("0123456789_")
_PLAIN = _VARIABLE | frozenset("-./:,@%+=")
_NAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_-")


def plain_project_name(
    environment: Mapping[str, str],
    here: str,
    *,
    files: Sequence[str] = (),
    asked: str | None = None,
) -> str:
    """Return what ``naming.project_name_of`` returns, where that is plain to see.

    ``files``: those of ``--file``; ``asked``: the name of ``--project-name``.

    :raises NotPlainError: where it is not.
    """
    special = {"COMPOSE_FILE", "COMPOSE_ENV_FILES", "COMPOSE_DISABLE_ENV_FILE"}
    if not here.startswith("/") or not special.isdisjoint(environment):
        raise NotPlainError
    found = [_joined(here, file) for file in files] or _discovered(here)
    asked = asked or environment.get("COMPOSE_PROJECT_NAME")
    if not found and not asked:
        raise NotPlainError
    directory = os.path.dirname(found[0]) if found else here  # noqa: PTH120
    for place in {directory} if files else {here, directory}:
        _check_env_file(f"{place}/.env")
    if asked:
        if not _NAME.issuperset(asked) or asked[0] in "_-":
            raise NotPlainError
        return asked
    names = [plain_name_in(file) for file in found]
    name = next((name for name in reversed(names) if name), None)
    return name or _normal(directory.rpartition("/")[2])


def plain_files(here: str, files: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the files of a project as ``discovery`` finds them; ``files``: those of ``--file``.

    :raises NotPlainError: where there are more to choose from than one says.
    """
    if files:
        return tuple([_joined(here, file) for file in files])
    found = _discovered(here)
    if found:
        directory = found[0].rpartition("/")[0]
        if sum([is_file(f"{directory}/{name}") for name in FILE_NAMES]) > 1:
            raise NotPlainError  # which there are is told then
    return tuple(found)


def _joined(here: str, file: str) -> str:
    if file == "-":
        raise NotPlainError
    return os.path.normpath(os.path.join(here, file))  # noqa: PTH118


def _discovered(start: str) -> list[str]:
    directory = start
    while True:
        inside = directory.rstrip("/")
        found = [file for name in FILE_NAMES if is_file(file := f"{inside}/{name}")]
        if found:
            others = [file for name in OVERRIDE_NAMES if is_file(file := f"{inside}/{name}")]
            return [found[0], *others[:1]]
        if not inside:
            return []
        directory = inside.rpartition("/")[0]


def _check_env_file(path: str) -> None:
    """Check that an env file, if there is one, is well-formed and says nothing about the project.

    :raises NotPlainError: unless that is plain to see.
    """
    if not is_file(path):
        return
    try:
        text = read_limited(path, _LARGEST_BYTES).decode("ascii")
    except (OSError, UnicodeDecodeError) as err:
        raise NotPlainError from err
    if len(text) > _LARGEST_BYTES or "COMPOSE_" in text or "\0" in text:
        raise NotPlainError
    for line in text.split("\n"):
        name, _, value = line.partition("=")
        if not line or line.startswith("#") or _is_variable(name, value, line):
            continue
        raise NotPlainError


def _is_variable(name: str, value: str, line: str) -> bool:
    return "=" in line and name[:1] in _LETTERS and _VARIABLE.issuperset(name) and (
        _PLAIN.issuperset(value)
    )  # fmt: skip


def _normal(text: str) -> str:
    name = "".join(letter for letter in text.lower() if letter in _NAME).lstrip("_-")
    if not name:
        raise NotPlainError
    return name
