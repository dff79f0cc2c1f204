"""The transforms of ``normalize``: what one value may look like, and its canonical form.

Each takes a value as the file has it and returns the canonical one, or raises Misfit with what
was expected. None (an attribute without a value) never gets here but where it means something.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

from orchestra.addresses import parse_address
from orchestra.spec import units
from orchestra.spec.findings import Misfit
from orchestra.spec.tree import MarkedList, MarkedMap, Value, adopt, entries, items


def kind(value: Value) -> str:
    """Name the kind of a value as people say it; never shows the value."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case float() if not value.is_integer():
            return "a fraction"
        case int() | float():
            return "a number"
        case "":
            return "empty text"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case timedelta():
            return "a duration"


_LARGEST = 2**63 - 1
_PULL_POLICIES = (
    "always", "build", "daily", "if_not_present", "missing", "never", "refresh", "weekly"
)  # fmt: skip
_HINTS = {
    "a device": "write /dev/NAME, or a mapping with source and target",
    "a list": "begin each item with a dash, or put them in brackets",
    "a mapping": "write KEY: VALUE below it",
    "a path or a mapping": "write a path, or a mapping with path",
    "a mapping or a list of KEY=VALUE": "write KEY: VALUE below it",
    "a mount": "write SOURCE:TARGET, or type, source and target as a mapping",
    "text": "put it in quotes",
    "text or a number": "a value is one line of text: put it in quotes",
    "text or a list": "write one text, or a list with each item in quotes",
    "a number": "write it in digits, without a unit",
    "a whole number": "write it in digits, without a unit",
    "true or false": "write true or false",
    "a size": 'write bytes, or a unit as in "512m"',
    "a duration": 'write it with a unit, as in "1m30s"',
}


def hint_for(expected: str) -> str:
    """Return what to do about a value that is not what was expected."""
    return _HINTS.get(expected, f"write {expected} here")


def unfit(what: str, value: Value, *, hint: str | None = None) -> Misfit:
    """Return the error for a value that is not what was expected."""
    return Misfit(f"expected {what}, not {kind(value)}", hint=hint or hint_for(what))


def flag(value: Value) -> Value:
    """Return a bool; text like "true" and "yes" too."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            return units.parse_flag(value)
        except ValueError as err:
            raise unfit("true or false", value) from err
    raise unfit("true or false", value)


def integer(value: Value) -> Value:
    """Return an int; numeric text too."""
    if isinstance(value, bool):
        raise unfit("a whole number", value)
    if isinstance(value, int):
        return _fitting(value)
    if isinstance(value, float) and value.is_integer():
        return _fitting(int(value))
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d{1,19}", value):
        return _fitting(int(value))
    raise unfit("a whole number", value)


def _fitting(value: int) -> int:
    if abs(value) > _LARGEST:
        raise Misfit("this number is too large", hint="64 bits must hold it")
    return value


def number(value: Value) -> Value:
    """Return a float; numeric text too."""
    if isinstance(value, bool):
        raise unfit("a number", value)
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str) and re.fullmatch(
        r"[-+]?(\d{1,18}(\.\d{0,18})?|\.\d{1,18})(e[-+]?\d{1,2})?", value, re.I
    ):
        return float(value)
    raise unfit("a number", value)


def size(value: Value) -> Value:
    """Return bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return _fitting(value)
    if isinstance(value, float) and value.is_integer():
        return _fitting(int(value))
    if isinstance(value, str):
        try:
            return _fitting(units.parse_size(value))
        except Misfit:
            raise
        except ValueError as err:
            raise unfit("a size", value) from err
    raise unfit("a size", value)


def size_text(value: Value) -> Value:
    """Return bytes; only a text will do."""
    if not isinstance(value, str):
        raise unfit("text", value, hint='put it in quotes, best with a unit: "512m"')
    return size(value)


def duration(value: Value) -> Value:
    """Return a timedelta."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        try:
            return units.parse_duration(value)
        except ValueError as err:
            raise unfit("a duration", value) from err
    unitless = isinstance(value, int) and not isinstance(value, bool)
    raise unfit("a duration", value, hint=f'give it a unit: "{value}s"' if unitless else None)


def mode(value: Value) -> Value:
    """Return a file mode as chmod takes it; text is octal."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and re.fullmatch(r"(0o)?[0-7]{1,6}", value):
        return int(value.removeprefix("0o"), 8)
    raise Misfit("expected a file mode in octal", hint='write it as in "0440"')


def count(value: Value) -> Value:
    """Return a number of devices, -1 for all."""
    if isinstance(value, str) and value.lower() == "all":
        return -1
    try:
        return integer(value)
    except Misfit as err:
        raise Misfit('expected a number or "all"', hint="write all, or digits") from err


def scalar(value: Value) -> str:
    """Render a scalar as Go would print it.

    :raises Misfit: for lists and mappings.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int() | str():
            return str(value)
        case float():
            return units.format_float(value)
        case _:
            raise unfit("text or a number", value)


def flag_text(value: Value) -> Value:
    """Return text; true and false are rendered."""
    if not isinstance(value, bool | str):
        raise unfit("true, false or text", value)
    return scalar(value)


def container_name(value: Value) -> Value:
    """Return the text of a name that a container may have."""
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+", str(text(value))):
        raise Misfit(
            f'"{value}" is no name for a container',
            hint="use two or more letters, digits, _ . or -, beginning with a letter or digit",
        )
    return value


def pull_policy(value: Value) -> Value:
    """Return the text of a pull policy."""
    policy = str(text(value))
    if policy in _PULL_POLICIES or re.fullmatch(r"every_([0-9]+[wdhms])+", policy):
        return policy
    from difflib import get_close_matches  # noqa: PLC0415 - for mistakes alone

    near = get_close_matches(policy, _PULL_POLICIES, n=1)
    known = f"{', '.join(_PULL_POLICIES)}, or every_ and a time as in every_12h"
    hint = f'did you mean "{near[0]}"?' if near else f"use {known}"
    raise Misfit("expected a pull policy", hint=hint)


def whole_text(value: Value) -> Value:
    """Return text; whole numbers are rendered."""
    if isinstance(value, float):
        raise unfit("text or a whole number", value)
    return number_text(value)


def number_text(value: Value) -> Value:
    """Return text; numbers are rendered."""
    if isinstance(value, bool):
        raise unfit("text or a number", value)
    return scalar(value)


def address(value: Value) -> Value:
    """Return the text of an IP address."""
    if not isinstance(value, str):
        raise unfit("an IP address", value)
    try:
        parse_address(value)
    except ValueError as err:
        raise Misfit(f'"{value}" is no IP address', hint="as in 127.0.0.1") from err
    return value


def text(value: Value) -> Value:
    """Return a text."""
    if not isinstance(value, str):
        raise unfit("text", value, hint="put it in quotes")
    return value


def each(value: Value, item: Callable[[Value], Value], expected: str = "a list") -> MarkedList:
    """Return a list whose items went through a transform."""
    if not isinstance(value, list):
        raise unfit(expected, value)
    result = MarkedList()
    for index, (entry, mark) in enumerate(items(value)):
        try:
            result.add(adopt(item(entry), mark), mark)
        except Misfit as error:
            raise Misfit(error.message, hint=error.hint, below=(index, *error.below)) from error
    return result


def text_list(value: Value) -> Value:
    """Return a list of texts."""
    return each(value, text)


def texts(value: Value) -> Value:
    """Return a list of texts; one text is a list of one."""
    return [value] if isinstance(value, str) else each(value, text, "text or a list")


def distinct(transform: Callable[[Value], Value]) -> Callable[[Value], Value]:
    """Return the transform of a value that, as a list, must not hold the same twice."""

    def checked(value: Value) -> Value:
        seen: set[str | int] = set()
        for index, (entry, _) in enumerate(items(value)):
            if not isinstance(entry, str | int):
                continue
            if entry in seen:
                raise Misfit("the list holds this twice", hint="keep one", below=(index,))
            seen.add(entry)
        return transform(value)

    return checked


def servers(value: Value) -> Value:
    """Return a list of texts without the empty ones (an unset variable is no server)."""
    found = adopt(texts(value), None)
    result = MarkedList()
    for entry, mark in items(found):
        if entry != "":
            result.add(entry, mark)
    return result


def number_texts(value: Value) -> Value:
    """Return a list of texts; numbers are rendered."""
    return each(value, number_text)


def optional_text_map(value: Value) -> Value:
    """Return a mapping of texts from a mapping or a list of KEY=VALUE; no value is None."""
    for index, (entry, _) in enumerate(items(value)):
        name = entry.partition("=")[0] if isinstance(entry, str) else ""
        if name != name.rstrip():
            hint = "write NAME=VALUE without a space before the ="
            raise Misfit("a variable's name cannot end with a space", hint=hint, below=(index,))
    return _text_map(value, lambda entry: None if entry is None else scalar(entry))


def text_map(value: Value) -> Value:
    """Return a mapping of texts from a mapping or a list of KEY=VALUE; no value is ""."""
    return _text_map(value, lambda entry: "" if entry is None else scalar(entry))


def _text_map(value: Value, convert: Callable[[Value], Value]) -> MarkedMap:
    if isinstance(value, dict):
        return _mapped(value, convert)
    if not isinstance(value, list):
        raise unfit("a mapping or a list of KEY=VALUE", value)
    result = MarkedMap()
    for index, (entry, mark) in enumerate(items(value)):
        if not isinstance(entry, str):
            hint = "write each as KEY=VALUE, or all as KEY: VALUE without dashes"
            raise Misfit(f"expected KEY=VALUE, not {kind(entry)}", hint=hint, below=(index,))
        key, found, text = entry.partition("=")
        if not key:
            raise Misfit("expected KEY=VALUE", hint="write a key before it", below=(index,))
        result.put(key, convert(text if found else None), mark)
    return result


def given_options(value: Value) -> Value:
    """Return a mapping of texts from a mapping of texts and numbers."""
    return _mapped(value, number_text)


def options(value: Value) -> Value:
    """Return a mapping of texts from a mapping of texts, numbers and nothing, which is ""."""
    return _mapped(value, lambda entry: "" if entry is None else number_text(entry))


def text_options(value: Value) -> Value:
    """Return a mapping of texts."""
    return _mapped(value, text)


def texts_map(value: Value) -> Value:
    """Return a mapping of lists of texts."""
    return _mapped(value, _scalars)


def _scalars(value: Value) -> Value:
    return each(value, scalar) if isinstance(value, list) else [scalar(value)]


def _mapped(value: Value, convert: Callable[[Value], Value]) -> MarkedMap:
    if not isinstance(value, dict):
        raise unfit("a mapping", value)
    result = MarkedMap()
    for key, entry, mark in entries(value):
        try:
            result.put(key, adopt(convert(entry), mark), mark)
        except Misfit as error:
            raise Misfit(error.message, hint=error.hint, below=(key, *error.below)) from error
    return result
