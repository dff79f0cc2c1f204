"""Variables of a whole document: every text value, never a key."""

from __future__ import annotations

from collections.abc import Mapping

from orchestra.spec.findings import Findings, Misfit
from orchestra.spec.keypath import KeyPath
from orchestra.spec.template import substitute
from orchestra.spec.tree import Mark, MarkedList, MarkedMap, Value, entries, items


def interpolate(tree: Value, environment: Mapping[str, str], findings: Findings) -> Value:
    """Return the tree with its variables replaced; what cannot be is noted and left empty."""
    return _walk(tree, environment, findings, (), None)


def _walk(
    value: Value,
    environment: Mapping[str, str],
    findings: Findings,
    path: KeyPath,
    mark: Mark | None,
) -> Value:
    if isinstance(value, str):
        return _text(value, environment, findings, path, mark) if "$" in value else value
    if isinstance(value, dict):
        result = MarkedMap()
        for key, entry, at in entries(value):
            result.put(key, _walk(entry, environment, findings, (*path, key), at), at)
        return result
    if isinstance(value, list):
        grown = MarkedList()
        for index, (entry, at) in enumerate(items(value)):
            grown.add(_walk(entry, environment, findings, (*path, index), at), at)
        return grown
    return value


def _text(
    value: str,
    environment: Mapping[str, str],
    findings: Findings,
    path: KeyPath,
    mark: Mark | None,
) -> str:
    def unset(name: str) -> None:
        findings.warn(f'variable "{name}" is not set, taken as empty', path, mark)

    try:
        return substitute(value, environment.get, unset)
    except Misfit as error:
        findings.misfit(error, path, mark)
        return ""
