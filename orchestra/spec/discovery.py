"""Which files make up a project, in which directory, with which variables and which name.

Reads directory entries and env files only; Compose files are read by ``loader``. The rules are
docker compose's (its documentation, "Pre-defined environment variables" and "project name").
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path

from orchestra.errors import SpecError, UsageError
from orchestra.spec.environment import parse_dotenv, read_env_file
from orchestra.spec.findings import Findings, Misfit
from orchestra.spec.phases import EVERY_PHASE, Phases
from orchestra.spec.reading import is_file
from orchestra.spec.template import substitute
from orchestra.spec.tree import Mark, location
from orchestra.spec.units import parse_flag
from orchestra.values import dataclass

FILE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDE_NAMES = (
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
)
STDIN = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """What the command line says about the project; empty means: find out."""

    files: tuple[str, ...] = ()
    project_directory: str | None = None
    project_name: str | None = None
    profiles: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    phases: Phases = EVERY_PHASE


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a project is: absolute files in order, its directory, and the variables known there.

    ``env_files``: those that variables came from; an earlier group wins, and in it a later file.
    """

    files: tuple[str, ...]
    directory: str
    environment: Mapping[str, str]
    profiles: tuple[str, ...]
    env_files: tuple[tuple[str, ...], ...] = ()


def find_site(
    options: LoadOptions, environment: Mapping[str, str], cwd: Path, findings: Findings
) -> Site:
    """Return where the project of these options is; ``files`` is empty when there is none.

    :raises SpecError: when an env file is missing or malformed.
    """
    here = str(cwd)
    known = {"PWD": here, **environment}
    directory = _explicit_directory(options, here)
    files = tuple(_join(here, file) for file in options.files)
    first = directory or _directory_of(files) or here
    early = _env_files(options, environment, first, here)
    known = _with_env_files(early, known)
    if not files:
        files = _from_variable(known, here) or _discover(directory or here, findings)
    directory = directory or _directory_of(files) or here
    late = _env_files(options, environment, directory, here)
    known = _with_env_files(late, known)
    return Site(
        files=files,
        directory=directory,
        environment=known,
        profiles=options.profiles or _split(known.get("COMPOSE_PROFILES", "")),
        env_files=(tuple(map(str, early)), tuple(map(str, late))),
    )


def _join(base: str, path: str) -> str:
    return path if path == STDIN else posixpath.normpath(posixpath.join(base, path))


def _explicit_directory(options: LoadOptions, here: str) -> str | None:
    return _join(here, options.project_directory) if options.project_directory else None


def _directory_of(files: tuple[str, ...]) -> str | None:
    return next((posixpath.dirname(file) for file in files if file != STDIN), None)


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _from_variable(known: Mapping[str, str], here: str) -> tuple[str, ...]:
    text = known.get("COMPOSE_FILE", "")
    separator = known.get("COMPOSE_PATH_SEPARATOR") or ":"
    return tuple(_join(here, part) for part in text.split(separator) if part)


def _discover(start: str, findings: Findings) -> tuple[str, ...]:
    for directory in (Path(start), *Path(start).parents):
        found = [name for name in FILE_NAMES if is_file(directory / name)]
        if not found:
            continue
        if len(found) > 1:
            findings.warn(f"found {', '.join(found)} in {directory}, using {found[0]}")
        overrides = [name for name in OVERRIDE_NAMES if is_file(directory / name)]
        return tuple(str(directory / name) for name in (found[0], *overrides[:1]))
    return ()


def _env_files(
    options: LoadOptions, environment: Mapping[str, str], directory: str, here: str
) -> list[Path]:
    files = options.env_files or _split(environment.get("COMPOSE_ENV_FILES", ""))
    if files:
        return [Path(_join(here, file)) for file in files]
    default = Path(directory) / ".env"
    return [default] if not _disabled(environment) and is_file(default) else []


def _with_env_files(paths: list[Path], known: dict[str, str]) -> dict[str, str]:
    return {**load_env_files(paths, known), **known} if paths else known


def _disabled(environment: Mapping[str, str]) -> bool:
    text = environment.get("COMPOSE_DISABLE_ENV_FILE", "")
    try:
        return text == "1" or (text not in {"", "0"} and parse_flag(text))
    except ValueError as err:
        raise UsageError(
            "cannot read COMPOSE_DISABLE_ENV_FILE: expected true or false",
            hint="set it to 1, or unset it",
        ) from err


def load_env_files(paths: list[Path], known: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of some files; a later file wins, ``known`` beats all when looked up.

    :raises SpecError: when one is missing or malformed.
    """
    found: dict[str, str] = {}
    for path in paths:
        try:
            text = read_env_file(path)
        except Misfit as error:
            raise SpecError(error.message, hint="check --env-file") from error
        try:
            found = parse_dotenv(text, known.get, found)
        except Misfit as error:
            line = error.below[0] if error.below else 0
            mark = Mark(str(path), line if isinstance(line, int) else 0)
            raise SpecError(error.message, location=location(mark, ()), hint=error.hint) from error
    return found


def normal_name(text: str) -> str:
    """Return a text as a project name: lower case, only a-z 0-9 _ -, led by a letter or digit."""
    return "".join(re.findall(r"[a-z0-9_-]", text.lower())).lstrip("_-")


def choose_name(options: LoadOptions, site: Site, written: str | None) -> str:
    """Return the project's name; ``written`` is what the files say, not yet interpolated.

    :raises SpecError: when a name that was asked for is invalid, or none can be made.
    """
    asked = options.project_name or site.environment.get("COMPOSE_PROJECT_NAME")
    if asked:
        if normal_name(asked) != asked:
            source = f'"{asked}"' if options.project_name else "in COMPOSE_PROJECT_NAME"
            raise SpecError(
                f"invalid project name {source}",
                hint="use lower-case letters, digits, - and _, beginning with a letter or digit",
            )
        return asked
    name = ""
    if written:
        name = substitute(written, site.environment.get, lambda _name: None)
        name = normal_name(name) if options.phases.normalize else name
    name = name or normal_name(posixpath.basename(site.directory))
    if not name:
        raise SpecError(
            "cannot make a project name out of the directory's", hint="give one with -p NAME"
        )
    return name
