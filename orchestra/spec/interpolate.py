"""Variables of a whole document: every text value, never a key."""

from __future__ import annotations

from collections.abc import Mapping

from orchestra.spec.findings import Findings, Misfit
from orchestra.spec.keypath import KeyPath
from orchestra.spec.spelling import shortened
from orchestra.spec.template import substitute
from orchestra.spec.tree import Mark, MarkedList, MarkedMap, Value, entries, items
from orchestra.values import dataclass

_Marks = tuple[Mark | None, Mark | None]
"""The place of a value, and of the element around it."""

_MOST_CHARACTERS = 16 * 1024 * 1024


def interpolate(tree: Value, environment: Mapping[str, str], findings: Findings) -> Value:
    """Return the tree with its variables replaced; what cannot be is noted and left empty."""
    return _Walk(environment, findings).value(tree, (), (None, None))


@dataclass(slots=True)
class _Walk:
    environment: Mapping[str, str]
    findings: Findings
    grown: int = 0

    def value(self, value: Value, path: KeyPath, marks: _Marks) -> Value:
        if isinstance(value, str):
            return self.text(value, path, marks) if "$" in value else value
        if isinstance(value, dict):
            result = MarkedMap()
            for key, entry, at in entries(value):
                result.put(key, self.value(entry, (*path, key), (at, marks[0])), at)
            return result
        if isinstance(value, list):
            grown = MarkedList()
            for index, (entry, at) in enumerate(items(value)):
                grown.add(self.value(entry, (*path, index), (at, marks[0])), at)
            return grown
        return value

    def text(self, value: str, path: KeyPath, marks: _Marks) -> str:
        mark = marks[0]
        unset: dict[str, None] = {}
        try:
            self.check_length()
            result = substitute(value, self.environment.get, unset.setdefault)
        except Misfit as error:
            self.findings.misfit(error, path, mark)
            return ""
        for name in unset:
            message = f'variable "{shortened(name)}" is not set, taken as empty'
            self.findings.warn(message, path, mark)
        self.grown += len(result)
        self.findings.vary(marks, value, result)
        return result

    def check_length(self) -> None:
        if self.grown > _MOST_CHARACTERS:
            size = _MOST_CHARACTERS // (1024 * 1024)
            message = f"the variables make the document longer than {size} MiB"
            raise Misfit(message, hint="let the containers read it from a file")
