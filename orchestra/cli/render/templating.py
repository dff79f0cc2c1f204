"""The functions of format templates, and how Go writes values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from orchestra.cli.render.terminal import json_text

_VERB = re.compile(r"%(-?\d*)([sdvqtf%])")


def written(value: object) -> str:
    """Return a value as Go's text/template prints it."""
    match value:
        case None:
            return "<no value>"
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case Mapping():
            return "map[" + " ".join(f"{key}:{written(value[key])}" for key in sorted(value)) + "]"
        case list() | tuple():
            return "[" + " ".join(map(written, value)) + "]"
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)


def truth(value: object) -> bool:
    """Tell whether a value counts as true: neither zero, nor empty, nor nothing."""
    return bool(value)


def _index(value: object, *keys: object) -> object:
    for key in keys:
        if isinstance(value, Mapping):
            value = value.get(key, "")
        elif isinstance(value, list | tuple | str) and isinstance(key, int):
            value = value[key]
        else:
            raise TypeError(f"nothing to index with {written(key)}")
    return value


def _printf(form: str, *values: object) -> str:
    left = list(values)

    def one(match: re.Match[str]) -> str:
        if match[2] == "%":
            return "%"
        value = left.pop(0) if left else "%!(MISSING)"
        text = json.dumps(value) if match[2] == "q" else written(value)
        width = int(match[1] or 0)
        return text.ljust(-width) if width < 0 else text.rjust(width)

    return _VERB.sub(one, form)


def _join(values: object, separator: object) -> str:
    if isinstance(values, str):  # piped: join "," after the list
        values, separator = separator, values
    if not isinstance(values, list | tuple):
        raise TypeError("it joins lists")
    return written(separator).join(map(written, values))


def _eq(first: object, *others: object) -> bool:
    return any(first == other for other in others)


def _and(*values: object) -> object:
    return next((value for value in values if not truth(value)), values[-1])


def _or(*values: object) -> object:
    return next((value for value in values if truth(value)), values[-1])


def _order(one: object, other: object) -> int:
    if isinstance(one, str) and isinstance(other, str):
        return (one > other) - (one < other)
    if isinstance(one, int | float) and isinstance(other, int | float):
        return (one > other) - (one < other)
    raise TypeError("only numbers or texts have an order")


def _len(value: object) -> int:
    if value is None:
        return 0
    if isinstance(value, Mapping | list | tuple | str):
        return len(value)
    raise TypeError("it has no length")


def _truncate(text: object, length: object) -> str:
    if isinstance(text, int):
        text, length = length, text
    return written(text)[: int(written(length))]


FUNCTIONS: dict[str, Callable[..., object]] = {
    "and": _and,
    "eq": _eq,
    "ge": lambda one, other: _order(one, other) >= 0,
    "gt": lambda one, other: _order(one, other) > 0,
    "index": _index,
    "join": _join,
    "json": json_text,
    "le": lambda one, other: _order(one, other) <= 0,
    "len": _len,
    "lower": lambda text: written(text).lower(),
    "lt": lambda one, other: _order(one, other) < 0,
    "ne": lambda one, other: one != other,
    "not": lambda value: not truth(value),
    "or": _or,
    "print": lambda *values: "".join(map(written, values)),
    "printf": _printf,
    "println": lambda *values: " ".join(map(written, values)) + "\n",
    "split": lambda text, separator: written(text).split(written(separator)),
    "title": lambda text: written(text).title(),
    "truncate": _truncate,
    "upper": lambda text: written(text).upper(),
}
