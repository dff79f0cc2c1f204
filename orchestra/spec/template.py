"""The grammar of variables in text (compose-spec 12-interpolation.md).

``$NAME`` ``${NAME}`` ``${NAME:-default}`` ``${NAME-default}`` ``${NAME:?message}``
``${NAME?message}`` ``${NAME:+other}`` ``${NAME+other}``, nested, and ``$$`` for one dollar. A
dollar in front of anything else is itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from orchestra.spec.findings import Misfit
from orchestra.spec.spelling import shortened
from orchestra.values import dataclass

Lookup = Callable[[str], str | None]
Unset = Callable[[str], None]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")
_DEEPEST = 16
_LONGEST = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Use:
    """One variable of a text; ``operator`` and ``argument`` are empty for a plain one."""

    name: str
    operator: str = ""
    argument: str = ""

    @property
    def kind(self) -> str:
        """Return the operator without its colon."""
        return self.operator[-1:]


def uses(text: str) -> Iterator[Use]:
    """Yield the variables of a text, not those inside an argument; malformed ones are skipped."""
    position = text.find("$")
    while position >= 0:
        inner, end = _inner(text, position)
        name = _NAME.match(inner)
        if name is not None:
            rest = inner[name.end() :]
            operator = _OPERATOR.match(rest)
            if operator is not None:
                yield Use(name[0], operator[0], rest[operator.end() :])
            elif not rest:
                yield Use(name[0])
        position = text.find("$", end)


def _inner(text: str, dollar: int) -> tuple[str, int]:
    """Return what a dollar introduces, "" for nothing, and where it ends."""
    following = text[dollar + 1 : dollar + 2]
    if following == "{":
        try:
            end = _closing_brace(text, dollar)
        except Misfit:
            return "", dollar + 2
        return text[dollar + 2 : end], end + 1
    name = _NAME.match(text, dollar + 1)
    if name is not None:
        return name[0], name.end()
    return "", dollar + (2 if following == "$" else 1)


def substitute(text: str, lookup: Lookup, unset: Unset, *, depth: int = 0) -> str:
    """Return the text with its variables replaced; ``unset`` hears of each that has no value.

    :raises Misfit: when a variable is malformed, or required and missing.
    """
    if "$" not in text:
        return text
    if depth > _DEEPEST:
        message = f"variables are nested deeper than {_DEEPEST} levels"
        raise Misfit(message, hint="nothing sensible is that deep")
    parts: list[str] = []
    position = length = 0
    while True:
        dollar = text.find("$", position)
        if dollar < 0:
            parts.append(text[position:])
            return "".join(parts)
        parts.append(text[position:dollar])
        value, position = _variable(text, dollar, lookup, unset, depth)
        parts.append(value)
        length += len(value)
        if length > _LONGEST:
            message = f"the variables make it longer than {_LONGEST // (1024 * 1024)} MiB"
            raise Misfit(message, hint="let the container read it from a file")


def _variable(text: str, dollar: int, lookup: Lookup, unset: Unset, depth: int) -> tuple[str, int]:
    following = text[dollar + 1 : dollar + 2]
    if following == "$":
        return "$", dollar + 2
    if following == "{":
        end = _closing_brace(text, dollar)
        return _braced(text[dollar + 2 : end], lookup, unset, depth), end + 1
    name = _NAME.match(text, dollar + 1)
    if name is None:
        return "$", dollar + 1
    return _plain(name[0], lookup, unset), name.end()


def _closing_brace(text: str, dollar: int) -> int:
    opened = 0
    for match in re.compile(r"[{}]").finditer(text, dollar):
        opened += 1 if match[0] == "{" else -1
        if opened == 0:
            return match.start()
    raise Misfit('a variable is not closed: "${" without "}"', hint='write "$$" for a plain dollar')


def _plain(name: str, lookup: Lookup, unset: Unset) -> str:
    value = lookup(name)
    if value is None:
        unset(name)
        return ""
    return value


def _braced(inner: str, lookup: Lookup, unset: Unset, depth: int) -> str:
    name = _NAME.match(inner)
    if name is None:
        raise Misfit(
            "a variable has no valid name", hint='names are letters, digits and "_"; "$$" is a "$"'
        )
    rest = inner[name.end() :]
    if not rest:
        return _plain(name[0], lookup, unset)
    operator = _OPERATOR.match(rest)
    if operator is None:
        raise Misfit(
            f'variable "{shortened(name[0])}" is followed by something unknown',
            hint="use one of :- - :? ? :+ + behind the name",
        )
    argument = rest[operator.end() :]
    value = lookup(name[0])
    present = bool(value) if operator[0].startswith(":") else value is not None
    match operator[0][-1]:
        case "-":
            return value or "" if present else substitute(argument, lookup, unset, depth=depth + 1)
        case "+":
            return substitute(argument, lookup, unset, depth=depth + 1) if present else value or ""
        case _:
            if present:
                return value or ""
            shown = shortened(name[0])
            raise Misfit(  # the reason as written: what its own variables hold is not for errors
                f'required variable "{shown}" has no value' + (f": {argument}" if argument else ""),
                hint=f"set {shown} in the environment or in an env file",
            )
