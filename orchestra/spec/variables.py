"""Which variables a document asks for, and what it says of each (``config --variables``)."""

from __future__ import annotations

from collections.abc import Iterator

from orchestra.spec.template import Use, uses
from orchestra.spec.tree import Value
from orchestra.values import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One variable; ``alternate`` is what stands there when it has a value (``:+``)."""

    name: str
    required: bool = False
    default: str = ""
    alternate: str = ""


def variables_of(tree: Value) -> dict[str, Variable]:
    """Return the variables in all texts of a tree that was not interpolated, by name, sorted.

    Where places differ, one that requires the variable is enough, and of the defaults and the
    alternates the first is told.
    """
    found: dict[str, Variable] = {}
    for text in _texts(tree):
        for use in _all_uses(text):
            found[use.name] = _with(found.get(use.name, Variable(name=use.name)), use)
    return dict(sorted(found.items()))


def _texts(value: Value) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for entry in value.values():
            yield from _texts(entry)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry)


def _all_uses(text: str) -> Iterator[Use]:
    for use in uses(text):
        yield use
        if use.kind in {"-", "+"}:
            yield from _all_uses(use.argument)


def _with(variable: Variable, use: Use) -> Variable:
    match use.kind:
        case "?":
            return replace(variable, required=True)
        case "-":
            return replace(variable, default=variable.default or use.argument)
        case "+":
            return replace(variable, alternate=variable.alternate or use.argument)
        case _:
            return variable
