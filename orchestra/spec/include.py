"""Other Compose files taken in whole (compose-spec 14-include.md)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from orchestra.errors import SpecError
from orchestra.spec.discovery import load_env_files
from orchestra.spec.findings import Findings, Misfit
from orchestra.spec.keypath import KeyPath
from orchestra.spec.merge import merge, reset
from orchestra.spec.paths import absolute
from orchestra.spec.reading import exists, is_file
from orchestra.spec.shapes import kind, texts
from orchestra.spec.spelling import shortened
from orchestra.spec.tree import Mark, MarkedMap, Value, entries, items, lookup, mapping
from orchestra.spec.tree import place as found_at
from orchestra.values import dataclass

_KEYS = ("path", "env_file", "project_directory")
RESOURCES = ("services", "jobs", "networks", "volumes", "secrets", "configs", "models")
_DEEPEST = 50
REMOTE = re.compile(r"[a-z][a-z0-9+.-]*://|git@|github\.com/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a model is loaded: base directory, variables, and the files that led there.

    ``base`` is what its relative paths are taken from: the directory, or in a load that leaves
    paths as they are, the way there from who included it; None where they stay as written.
    ``env_files`` are those of ``environment``, in groups as a Site has them.
    """

    directory: str
    base: str | None
    environment: Mapping[str, str]
    home: str | None
    chain: tuple[str, ...] = ()
    env_files: tuple[tuple[str, ...], ...] = ()

    def base_of(self, directory: str) -> str:
        """Return what relative paths of a file in another directory are taken from."""
        if self.base == self.directory:
            return directory
        return posixpath.relpath(directory, self.directory)


ModelLoader = Callable[[tuple[str, ...], Place, Findings], Value]


@dataclass(frozen=True, slots=True)
class _Entry:
    files: tuple[str, ...]
    env_files: tuple[str, ...]
    directory: str | None


def resolve_includes(
    tree: MarkedMap,
    place: Place,
    resets: tuple[KeyPath, ...],
    load: ModelLoader,
    findings: Findings,
) -> MarkedMap:
    """Return the tree with all included resources under its own; errors are noted."""
    wanted = tree.get("include")
    result = MarkedMap()
    for key, entry, mark in entries(tree):
        value = entry
        if key != "include":
            if key in RESOURCES and isinstance(value, MarkedMap):
                value = MarkedMap(value, value.marks)
            result.put(key, value, mark)
    if wanted is None:
        return result
    if not isinstance(wanted, list):
        hint = "begin each path with a dash, or put them in brackets"
        message = f"expected a list, not {kind(wanted)}"
        findings.add(message, ("include",), tree.marks.get("include"), hint=hint)
        return result
    for index, (value, mark) in enumerate(items(wanted)):
        path: KeyPath = ("include", index)
        try:
            included = _included(_entry(value), place, load, findings)
        except Misfit as error:
            findings.misfit(error, path, found_at(value, error.below) or mark)
        except SpecError as error:
            _note_env_file(error, path, mark, findings)
        else:
            _import(reset(included, resets), result, findings, mark)
    return result


def _entry(value: Value) -> _Entry:
    if isinstance(value, str):
        return _Entry((value,), (), None)
    if not isinstance(value, dict):
        hint = "write the path of a Compose file"
        raise Misfit(f"expected a path or a mapping, not {kind(value)}", hint=hint)
    for key in value:
        if key not in _KEYS:
            from difflib import get_close_matches  # noqa: PLC0415 - for mistakes alone

            near = get_close_matches(key, _KEYS, n=1)
            hint = f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(_KEYS)}"
            raise Misfit(f'unknown key "{key}"', hint=hint, below=(key,))
    directory = value.get("project_directory")
    if directory is not None and not isinstance(directory, str):
        message = f"expected a path, not {kind(directory)}"
        raise Misfit(message, hint="put it in quotes", below=("project_directory",))
    files = _paths(value, "path")
    if not files:
        raise Misfit('"path" is missing', hint="name the file to include")
    return _Entry(files, _paths(value, "env_file"), directory)


def _paths(value: dict[str, Value], key: str) -> tuple[str, ...]:
    if value.get(key) is None:
        return ()
    try:
        found = texts(value[key])
    except Misfit as error:
        raise Misfit(error.message, hint=error.hint, below=(key, *error.below)) from error
    return tuple(str(path) for path, _ in items(found)) if isinstance(found, list) else ()


def _included(entry: _Entry, place: Place, load: ModelLoader, findings: Findings) -> Value:
    for file in entry.files:
        if REMOTE.match(file):
            raise Misfit("cannot include a remote file", hint="fetch it and include the local copy")
    files = tuple(absolute(file, place.directory, place.home) for file in entry.files)
    hint = f'paths of this file start at "{shortened(place.directory)}"'
    for file, path in zip(entry.files, files, strict=True):
        if not exists(path) or Path(path).is_dir():
            reason = "it is a directory" if exists(path) else "there is no such file"
            raise Misfit(f'cannot include "{shortened(file)}": {reason}', hint=hint)
        if path in place.chain:
            steps = " -> ".join((*place.chain[place.chain.index(path) :], path))
            raise Misfit(f"files include each other in a circle: {steps}", hint="break it")
    if len(place.chain) > _DEEPEST:
        message = f"files include each other more than {_DEEPEST} levels deep"
        raise Misfit(message, hint="include the last ones directly")
    directory = posixpath.dirname(files[0])
    if entry.directory is not None:
        directory = absolute(entry.directory, place.directory, place.home)
    known = place.environment
    paths = _env_files(entry, place, directory)
    if paths:
        known = {**load_env_files(paths, known), **known}
    inside = Place(
        directory=directory,
        base=place.base_of(directory),
        environment=known,
        home=place.home,
        chain=place.chain,
        env_files=(*place.env_files, tuple(map(str, paths))),
    )
    return load(files, inside, findings)


def _note_env_file(error: SpecError, path: KeyPath, mark: Mark | None, findings: Findings) -> None:
    if error.location is None:
        hint = "it is what env_file of this include names"
        findings.add(error.message, (*path, "env_file"), mark, hint=hint)
        return
    findings.read(error.location.file)
    findings.add(error.message, (), Mark(error.location.file, error.location.line), hint=error.hint)


def _env_files(entry: _Entry, place: Place, directory: str) -> list[Path]:
    if not entry.env_files:
        default = Path(directory) / ".env"
        return [default] if is_file(default) else []
    found = []
    for file in entry.env_files:
        path = Path(absolute(file, place.directory, place.home))
        if file != "/dev/null" and not exists(path):
            hint = f'paths of this file start at "{shortened(place.directory)}"'
            message = f'cannot read env file "{shortened(file)}": there is no such file'
            raise Misfit(message, hint=hint)
        if file != "/dev/null":
            found.append(path)
    return found


def _import(source: Value, target: MarkedMap, findings: Findings, mark: Mark | None) -> None:
    """Put the included resources under the target's own; the target is grown in place."""
    for section in RESOURCES:
        wanted = lookup(source, section)
        if not mapping(wanted):
            continue
        known = target.get(section)
        if not isinstance(known, MarkedMap):
            known = MarkedMap()
            target.put(section, known, mark)
        for name, value, at in entries(wanted):
            if name in known:
                own = known.marks.get(name)
                known.put(name, merge(value, known[name], findings, (section, name)), own)
            else:
                known.put(name, value, at)
