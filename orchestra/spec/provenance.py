"""``config --explain KEY``: loads a project once more, with its layers, and explains keys of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path

from orchestra.errors import UsageError
from orchestra.spec.discovery import LoadOptions
from orchestra.spec.environment import lines_of, parse_raw, read_env_file
from orchestra.spec.explain import Evidence, Origin, Rule, names_at
from orchestra.spec.findings import Misfit
from orchestra.spec.keypath import KeyPath
from orchestra.spec.layers import Layer
from orchestra.spec.loader import load_project
from orchestra.spec.merge import replaces
from orchestra.spec.model.project import Project
from orchestra.spec.render import render_project
from orchestra.spec.tree import Value, child, items, lookup, mapping
from orchestra.values import dataclass

_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One value as ``config`` shows it, the place that won, and those it won over, last first."""

    key: str
    value: Value
    origin: Origin
    overrode: tuple[Origin, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What was asked for, and what the load warned of."""

    explanations: tuple[Explanation, ...]
    warnings: tuple[str, ...]


def explain(options: LoadOptions, environment: Mapping[str, str], cwd: Path, key: str) -> Explained:
    """Return where every value at and below a key of the rendered project comes from.

    :raises UsageError: when there is no such key.
    :raises SpecErrors: when the files are wrong.
    """
    layers: list[Layer] = []
    project = load_project(options, environment, cwd, layers)
    tree = render_project(project)
    evidence = Evidence(
        layers=tuple(layers),
        tree=project.places.tree,
        shell=environment,
        env_lines=_env_lines,
    )
    path = find_key(tree, key, frozenset(project.disabled_services))
    found = [
        _explanation(leaf, value, evidence, project, options) for leaf, value in _leaves(tree, path)
    ]
    return Explained(explanations=tuple(found), warnings=project.warnings)


@cache
def _env_lines(file: str, raw: bool) -> Mapping[str, int]:  # noqa: FBT001
    try:
        text = read_env_file(Path(file))
        if not raw:
            return lines_of(text)
        lines = enumerate(text.splitlines(), 1)
        return {
            name: number for number, line in lines for name in parse_raw(line, lambda _name: "")
        }
    except Misfit:  # a file that need not be there
        return {}


def _explanation(
    path: KeyPath, value: Value, evidence: Evidence, project: Project, options: LoadOptions
) -> Explanation:
    *before, origin = evidence.origins(_in_files(path, value, project)) or (
        Origin(rule=Rule.DEFAULT),
    )
    if path == ("name",) and options.project_name:
        before = [one for one in (*before, origin) if one.rule is not Rule.DEFAULT]
        origin = Origin(rule=Rule.OPTION)
    key = ".".join(map(str, path))
    return Explanation(key=key, value=value, origin=origin, overrode=tuple(reversed(before)))


def _leaves(tree: Value, path: KeyPath) -> Iterator[tuple[KeyPath, Value]]:
    """Yield every value at or below a path; one inside a value that is replaced whole is that."""
    value = tree
    for depth, key in enumerate(path, 1):
        _, value = child(value, key)
        if replaces(path[:depth]):
            yield path[:depth], value
            return
    yield from _below(value, path)


def _below(value: Value, path: KeyPath) -> Iterator[tuple[KeyPath, Value]]:
    if isinstance(value, dict) and value:
        for key, entry in value.items():
            yield from _below(entry, (*path, key))
    elif isinstance(value, list) and value and not replaces(path):
        for index, entry in enumerate(value):
            yield from _below(entry, (*path, index))
    else:
        yield path, value


def _in_files(path: KeyPath, value: Value, project: Project) -> KeyPath:
    """Return where a value of the rendered project stands in the merged tree."""
    keys: KeyPath = tuple(key.replace("$$", "$") if isinstance(key, str) else key for key in path)
    if len(keys) < 4 or not isinstance(keys[-1], int) or not isinstance(value, str):
        return keys
    name, equals, rest = value.partition("=")
    if keys[-2] == "extra_hosts" and equals:
        addresses: Value = project.places.tree
        for key in (*keys[:-1], name):
            _, addresses = child(addresses, key)
        known = [address for address, _ in items(addresses)]
        return (*keys[:-1], name, known.index(rest) if rest in known else 0)
    if keys[-3:-1] == ("build", "ssh"):
        return (*keys[:-1], name)
    return keys


def find_key(tree: Value, key: str, inactive: frozenset[str]) -> KeyPath:
    """Return the path that a key means: ``services.web.ports.0``, ``services.web.ports[0]``.

    :raises UsageError: when there is no such key; the hint names the nearest.
    """
    text = re.sub(r"\[(\d+)\]", r".\1", key)
    path, rest = _longest(tree, text)
    if not rest:
        return path
    section, _, name = text.partition(".")
    if section == "services" and name.partition(".")[0] in inactive:
        hint = "activate one of its profiles with --profile"
        raise UsageError(f'service "{name.partition(".")[0]}" is not active', hint=hint)
    raise UsageError(f'no key "{key}" in this project', hint=_nearest(tree, text, path, rest))


def _longest(tree: Value, text: str) -> tuple[KeyPath, str]:
    """Return as much of a path as is there, and the rest of the text; keys may hold dots."""
    best: tuple[KeyPath, str] = ((), text)
    for name in names_at(tree):
        if text != name and not text.startswith(f"{name}."):
            continue
        key = int(name) if isinstance(tree, list) else name
        below, rest = _longest(child(tree, key)[1], text[len(name) + 1 :])
        if len(rest) < len(best[1]):
            best = ((key, *below), rest)
    return best


def _nearest(tree: Value, text: str, path: KeyPath, rest: str) -> str:
    for section in mapping(tree):
        if not path and not _longest(lookup(tree, section), text)[1]:
            return f'did you mean "{section}.{text}"?'
    at = tree
    for key in path:
        _, at = child(at, key)
    known = names_at(at)
    head = "".join(f"{key}." for key in path)
    near = get_close_matches(rest.partition(".")[0], known, n=1)
    if near:
        return f'did you mean "{head}{near[0]}"?'
    shown = ", ".join(known[:_SHOWN]) + (", ..." if len(known) > _SHOWN else "")
    return f"keys there: {shown}" if known else f'there is only "{head.rstrip(".")}"'
