"""Relative paths of a document made absolute: one table of the attributes that are paths."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from orchestra.spec.keypath import KeyPath, PathTable
from orchestra.spec.tree import MarkedList, MarkedMap, Value, entries, items, lookup

_REMOTE = re.compile(r"https?://|git://|ssh://|github\.com/|git@|service:|[A-Za-z0-9+.-]+://")
_WINDOWS = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def absolute(path: str, base: str, home: str | None) -> str:
    """Return the path, absolute and without ``.`` and ``..``; ``~`` is the home directory."""
    if home and (path == "~" or path.startswith("~/")):
        path = posixpath.normpath(posixpath.join(home, path[2:]))
    if _WINDOWS.match(path):
        return path
    if posixpath.isabs(path):
        return path
    return posixpath.normpath(posixpath.join(base, path))


def _plain(value: Value, base: str, home: str | None) -> Value:
    return absolute(value, base, home) if isinstance(value, str) and value else value


def _here(value: Value, base: str, home: str | None) -> Value:
    return absolute(value, base, home) if isinstance(value, str) else value


def _context(value: Value, base: str, home: str | None) -> Value:
    if isinstance(value, str) and _REMOTE.match(value):
        return value
    return _plain(value, base, home) if value != "" else base


def _mount(value: Value, base: str, home: str | None) -> Value:
    if not isinstance(value, dict) or lookup(value, "type") != "bind":
        return value
    return _with(value, "source", _plain(value.get("source"), base, home))


def _driver_options(value: Value, base: str, home: str | None) -> Value:
    options = lookup(value, "driver_opts")
    if not isinstance(value, dict) or not isinstance(options, dict):
        return value
    if value.get("driver") != "local" or options.get("o") != "bind" or "device" not in options:
        return value
    return _with(
        value, "driver_opts", _with(options, "device", _here(options["device"], base, home))
    )


def _with(value: dict[str, Value], key: str, entry: Value) -> MarkedMap:
    result = MarkedMap(value, value.marks if isinstance(value, MarkedMap) else None)
    if entry is not None:
        result[key] = entry
    return result


Resolver = Callable[[Value, str, str | None], Value]
PATHS: PathTable[Resolver] = PathTable(
    (
        ("{services,jobs}.*.build.context", _context),
        ("{services,jobs}.*.build.additional_contexts.*", _context),
        ("{services,jobs}.*.build.ssh.*", _here),
        ("{services,jobs}.*.env_file.[].path", _plain),
        ("services.*.pre_start.[].env_file.[].path", _plain),
        ("services.*.pre_start.[].label_file.[]", _plain),
        ("services.*.pre_start.[].volumes.[]", _mount),
        ("{services,jobs}.*.label_file.[]", _plain),
        ("services.*.develop.watch.[].path", _plain),
        ("{services,jobs}.*.volumes.[]", _mount),
        ("{configs,secrets}.*.file", _plain),
        ("volumes.*", _driver_options),
    )
)


def resolve_paths(tree: Value, base: str, home: str | None) -> Value:
    """Return the tree with relative paths taken from ``base``."""
    return _walk(tree, base, home, (), PATHS)


def _walk(
    value: Value, base: str, home: str | None, path: KeyPath, table: PathTable[Resolver] | None
) -> Value:
    if table is None:
        return value
    if table.rule is not None:
        return table.rule(value, base, home)
    if isinstance(value, dict):
        result = MarkedMap()
        for key, entry, mark in entries(value):
            result.put(key, _walk(entry, base, home, (*path, key), table.step(key)), mark)
        return result
    if isinstance(value, list):
        grown = MarkedList()
        for index, (entry, mark) in enumerate(items(value)):
            grown.add(_walk(entry, base, home, (*path, index), table.step(index)), mark)
        return grown
    return value
