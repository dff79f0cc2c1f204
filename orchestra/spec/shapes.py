"""The transforms of ``normalize``: what one value may look like, and its canonical form.

Each takes a value as the file has it and returns the canonical one, or raises Misfit with what
was expected. None (an attribute without a value) never gets here but where it means something.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_address

from orchestra.spec import shorthand, units
from orchestra.spec.findings import Misfit
from orchestra.spec.tree import Mark, MarkedList, MarkedMap, Value, adopt, entries, items


def kind(value: Value) -> str:
    """Name the kind of a value as people say it; never shows the value."""
    match value:
        case None:
            return "nothing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case timedelta():
            return "a duration"


_HINTS = {
    "a list": "begin each item with a dash, or put them in brackets",
    "a mapping": "write KEY: VALUE below it",
    "text": "put it in quotes",
    "a number": "write it in digits, without a unit",
    "a whole number": "write it in digits, without a unit",
    "true or false": "write true or false",
    "a size": 'write bytes, or a unit as in "512m"',
    "a duration": 'write it with a unit, as in "1m30s"',
}


def hint_for(expected: str) -> str:
    """Return what to do about a value that is not what was expected."""
    return _HINTS.get(expected, f"write {expected} here")


def _expected(what: str, value: Value, *, hint: str | None = None) -> Misfit:
    return Misfit(f"expected {what}, not {kind(value)}", hint=hint or hint_for(what))


def flag(value: Value) -> Value:
    """Return a bool; text like "true" and "yes" too."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        try:
            return units.parse_flag(value)
        except ValueError as err:
            raise Misfit("expected true or false, not text", hint="write true or false") from err
    raise _expected("true or false", value)


def integer(value: Value) -> Value:
    """Return an int; numeric text too."""
    if isinstance(value, bool):
        raise _expected("a whole number", value)
    if isinstance(value, int):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d{1,19}", value):
        return int(value)
    raise _expected("a whole number", value)


def number(value: Value) -> Value:
    """Return a float; numeric text too."""
    if isinstance(value, bool):
        raise _expected("a number", value)
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str) and re.fullmatch(r"[-+]?(\d{1,18}(\.\d{0,18})?|\.\d{1,18})", value):
        return float(value)
    raise _expected("a number", value)


def size(value: Value) -> Value:
    """Return bytes."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        try:
            return units.parse_size(value)
        except ValueError as err:
            raise Misfit("expected a size", hint='write bytes, or a unit as in "512m"') from err
    raise _expected("a size", value)


def duration(value: Value) -> Value:
    """Return a timedelta."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str):
        try:
            return units.parse_duration(value)
        except ValueError as err:
            raise Misfit("expected a duration", hint='write it as in "1m30s"') from err
    hint = f'give it a unit: "{value}s"' if isinstance(value, int) else None
    raise _expected("a duration", value, hint=hint)


def mode(value: Value) -> Value:
    """Return a file mode as chmod takes it; text is octal."""
    if isinstance(value, int) and not isinstance(value, bool):
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
            raise _expected("text or a number", value)


def scalar_text(value: Value) -> Value:
    """Return text; numbers and bools are rendered."""
    return scalar(value)


def number_text(value: Value) -> Value:
    """Return text; numbers are rendered."""
    if isinstance(value, bool):
        raise _expected("text or a number", value)
    return scalar(value)


def address(value: Value) -> Value:
    """Return the text of an IP address."""
    if not isinstance(value, str):
        raise _expected("an IP address", value)
    try:
        ip_address(value)
    except ValueError as err:
        raise Misfit(f'"{value}" is no IP address', hint="as in 127.0.0.1") from err
    return value


def _text(value: Value) -> Value:
    if not isinstance(value, str):
        raise _expected("text", value, hint="put it in quotes")
    return value


def _each(value: Value, item: Callable[[Value], Value]) -> MarkedList:
    if not isinstance(value, list):
        raise _expected("a list", value)
    result = MarkedList()
    for index, (entry, mark) in enumerate(items(value)):
        try:
            result.add(adopt(item(entry), mark), mark)
        except Misfit as error:
            raise Misfit(error.message, hint=error.hint, below=(index, *error.below)) from error
    return result


def text_list(value: Value) -> Value:
    """Return a list of texts."""
    return _each(value, _text)


def texts(value: Value) -> Value:
    """Return a list of texts; one text is a list of one."""
    return [value] if isinstance(value, str) else _each(value, _text)


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
    return _each(value, number_text)


def optional_text_map(value: Value) -> Value:
    """Return a mapping of texts from a mapping or a list of KEY=VALUE; no value is None."""
    return _text_map(value, lambda entry: None if entry is None else scalar(entry))


def text_map(value: Value) -> Value:
    """Return a mapping of texts from a mapping or a list of KEY=VALUE; no value is ""."""
    return _text_map(value, lambda entry: "" if entry is None else scalar(entry))


def _text_map(value: Value, convert: Callable[[Value], Value]) -> MarkedMap:
    result = MarkedMap()
    if isinstance(value, dict):
        for key, entry, mark in entries(value):
            try:
                result.put(key, convert(entry), mark)
            except Misfit as error:
                raise Misfit(error.message, hint=error.hint, below=(key,)) from error
        return result
    if not isinstance(value, list):
        raise _expected("a mapping or a list of KEY=VALUE", value)
    for index, (entry, mark) in enumerate(items(value)):
        if not isinstance(entry, str):
            hint = "write each as KEY=VALUE, or all as KEY: VALUE without dashes"
            raise Misfit(f"expected KEY=VALUE, not {kind(entry)}", hint=hint, below=(index,))
        key, found, text = entry.partition("=")
        if not key:
            raise Misfit("expected KEY=VALUE", hint="write a key before it", below=(index,))
        result.put(key, convert(text if found else None), mark)
    return result


def texts_map(value: Value) -> Value:
    """Return a mapping of lists of texts."""
    if not isinstance(value, dict):
        raise _expected("a mapping", value)
    result = MarkedMap()
    for key, entry, mark in entries(value):
        values = entry if isinstance(entry, list) else [entry]
        result.put(key, adopt([scalar(item) for item in values], mark), mark)
    return result


def keyed(value: Value) -> Value:
    """Return a mapping from names to nothing, given a list of names."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list):
        raise _expected("a mapping or a list of names", value)
    result = MarkedMap()
    for index, (entry, mark) in enumerate(items(value)):
        if not isinstance(entry, str):
            raise Misfit(
                f"expected a name, not {kind(entry)}",
                hint="name one of the project",
                below=(index,),
            )
        result.put(entry, None, mark)
    return result


def dependencies(value: Value) -> Value:
    """Return depends_on as a mapping; a list asks for started services."""
    if isinstance(value, dict):
        for key, entry, _ in entries(value):
            if not isinstance(entry, dict):
                hint = "write condition: service_started below it"
                raise Misfit(f"expected a mapping, not {kind(entry)}", hint=hint, below=(key,))
        return value
    names = keyed(value)
    result = MarkedMap()
    for key, _, mark in entries(names):
        started: dict[str, Value] = {"condition": "service_started", "required": True}
        result.put(key, adopt(started, mark), mark)
    return result


def hosts(value: Value) -> Value:
    """Return extra_hosts as a mapping from name to addresses."""
    result = MarkedMap()
    if isinstance(value, dict):
        for key, entry, mark in entries(value):
            found = entry if isinstance(entry, list) else ["" if entry is None else entry]
            if not key or "=" in key or ":" in key:
                raise Misfit(f'"{key}" is no host name', hint="write NAME: ADDRESS", below=(key,))
            named = shorthand.expand_host(f"{key}=" + ",".join(scalar(one) for one in found))
            result.put(key, adopt(named[1], mark), mark)
        return result
    for index, (entry, mark) in enumerate(items(text_list(value))):
        try:
            name, addresses = shorthand.expand_host(str(entry))
        except Misfit as error:
            raise Misfit(error.message, hint=error.hint, below=(index,)) from error
        known = result.get(name)
        result.put(
            name, adopt([*(known if isinstance(known, list) else []), *addresses], mark), mark
        )
    return result


def command(value: Value) -> Value:
    """Return a command as a list of words; None stays."""
    if value is None:
        return None
    if isinstance(value, str):
        return list[Value](shorthand.split_command(value))
    return _each(value, _text)


def health_test(value: Value) -> Value:
    """Return the test as a list; a text is run by a shell."""
    if isinstance(value, str):
        return ["CMD-SHELL", value]
    return _each(value, _text)


def build(value: Value) -> Value:
    """Return build as a mapping; a text is the context."""
    if isinstance(value, str):
        return {"context": value}
    if isinstance(value, dict):
        return value
    raise _expected("a path or a mapping", value)


def extends(value: Value) -> Value:
    """Return extends as a mapping; a text is a service."""
    if isinstance(value, str):
        return {"service": value}
    if not isinstance(value, dict):
        raise _expected("a service or a mapping", value)
    unknown = [key for key in value if key not in {"service", "file"}]
    if unknown:
        raise Misfit(f'unknown key "{unknown[0]}"', hint="known here: file, service")
    if not isinstance(value.get("service"), str):
        raise Misfit('"service" is missing', hint="name the service to extend")
    return value


def env_files(value: Value) -> Value:
    """Return env_file as a list of mappings."""

    def one(entry: Value) -> Value:
        if isinstance(entry, str):
            return {"path": entry, "required": True}
        if isinstance(entry, dict):
            return entry
        raise _expected("a path or a mapping", entry)

    return _each([value] if isinstance(value, str) else value, one)


def file_references(value: Value) -> Value:
    """Return references to secrets or configs as mappings."""

    def one(entry: Value) -> Value:
        if isinstance(entry, str):
            return {"source": entry}
        if isinstance(entry, dict):
            return entry
        raise _expected("a name or a mapping", entry)

    return _each(value, one)


def gpus(value: Value) -> Value:
    """Return gpus as a list of requests; "all" is one for all."""
    if value == "all":
        return [{"count": -1}]
    if isinstance(value, str):
        raise Misfit('expected "all" or a list', hint="write all")
    return value


def ports(value: Value) -> Value:
    """Return ports as mappings: one per container port."""
    if not isinstance(value, list):
        raise _expected("a list", value, hint="begin each port with a dash")
    result = MarkedList()
    for index, (entry, mark) in enumerate(items(value)):
        try:
            for port in _port(entry, mark):
                result.add(port, mark)
        except Misfit as error:
            raise Misfit(error.message, hint=error.hint, below=(index,)) from error
    return result


def _port(entry: Value, mark: Mark | None) -> list[Value]:
    if isinstance(entry, dict):
        return [entry]
    if isinstance(entry, str) or (isinstance(entry, int) and not isinstance(entry, bool)):
        return [adopt(port, mark) for port in shorthand.expand_port(str(entry))]
    raise _expected("a port", entry, hint='put it in quotes, as in "8080:80"')


def mounts(value: Value) -> Value:
    """Return a service's volumes as mappings."""

    def one(entry: Value) -> Value:
        if isinstance(entry, str):
            return shorthand.expand_volume(entry)
        if isinstance(entry, dict):
            return entry
        raise _expected("a mount", entry)

    return _each(value, one)


def devices(value: Value) -> Value:
    """Return devices as mappings."""

    def one(entry: Value) -> Value:
        if isinstance(entry, str):
            return shorthand.expand_device(entry)
        if isinstance(entry, dict):
            return entry
        raise _expected("a device", entry)

    return _each(value, one)


def ulimit(value: Value) -> Value:
    """Return a ulimit with both its numbers."""
    if isinstance(value, dict):
        return value
    both = integer(value)
    return {"soft": both, "hard": both}


def maybe_external(value: Value) -> Value:
    """Return a resource whose deprecated ``external: {name: x}`` is spelled out."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise _expected("a mapping", value)
    external = value.get("external")
    if not isinstance(external, dict):
        return value
    marks = value.marks if isinstance(value, MarkedMap) else None
    result = MarkedMap(value, marks)
    result["external"] = True
    name = external.get("name")
    if name is not None:
        if result.get("name") not in {None, str(name)}:
            raise Misfit("name and external.name contradict each other", hint="keep name only")
        result["name"] = str(name)
    return result
