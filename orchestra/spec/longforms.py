"""The transforms of ``normalize`` for values with a short and a long form.

Each takes a value as the file has it and returns the long form, or raises Misfit with what was
expected.
"""

from __future__ import annotations

from orchestra.spec import shorthand
from orchestra.spec.findings import Misfit
from orchestra.spec.shapes import (
    each,
    integer,
    kind,
    optional_text_map,
    text,
    text_list,
    text_map,
    unfit,
)
from orchestra.spec.tree import SINGLE, Mark, MarkedList, MarkedMap, Value, adopt, entries, items


def keyed(value: Value) -> Value:
    """Return a mapping from names to nothing, given a list of names."""
    if isinstance(value, dict):
        return value
    if not isinstance(value, list):
        hint = "begin each name with a dash, or put them in brackets"
        raise unfit("a mapping or a list of names", value, hint=hint)
    result = MarkedMap()
    for index, (entry, mark) in enumerate(items(value)):
        if not isinstance(entry, str):
            raise Misfit(
                f"expected a name, not {kind(entry)}",
                hint="write a name alone, or all as NAME: ... without dashes",
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
            found = entry if isinstance(entry, list) else [entry]
            if not key or "=" in key or ":" in key:
                raise Misfit(f'"{key}" is no host name', hint="write NAME: ADDRESS", below=(key,))
            for one in found:
                if not isinstance(one, str):
                    message = f"expected an address, not {kind(one)}"
                    raise Misfit(message, hint="put it in quotes", below=(key,))
            named = shorthand.expand_host(f"{key}=" + ",".join(str(one) for one in found))
            result.put(key, adopt(named[1], mark), mark)
        return result
    for index, (entry, mark) in enumerate(items(text_list(value))):
        try:
            name, addresses = shorthand.expand_host(str(entry))
        except Misfit as error:
            raise Misfit(error.message, hint=error.hint, below=(index,)) from error
        known = result.get(name)
        if isinstance(known, MarkedList):
            for address in addresses:
                known.add(address, mark)
        else:
            result.put(name, adopt(addresses, mark), mark)
    return result


def command(value: Value) -> Value:
    """Return a command as a list of words; None stays."""
    if value is None:
        return None
    if isinstance(value, str):
        return list[Value](shorthand.split_command(value))
    return each(value, text, "text or a list")


def health_test(value: Value) -> Value:
    """Return the test as a list; a text is run by a shell."""
    if isinstance(value, str):
        return ["CMD-SHELL", value]
    return each(value, text, "text or a list")


def build(value: Value) -> Value:
    """Return build as a mapping; a text is the context."""
    if isinstance(value, str):
        return {"context": value}
    if isinstance(value, dict):
        return value
    raise unfit("a path or a mapping", value, hint="write a path, or a mapping with context")


def contexts(value: Value) -> Value:
    """Return additional_contexts as a mapping from names to places."""
    for index, (entry, _) in enumerate(items(value)):
        if isinstance(entry, str) and "=" not in entry:
            hint = "write NAME=PATH"
            raise Misfit(f'context "{entry}" has no place', hint=hint, below=(index,))
    return text_map(value)


def ssh(value: Value) -> Value:
    """Return ssh as a mapping from a key's name to its file; the agent has none."""
    result = optional_text_map(value)
    for index, (entry, _) in enumerate(items(value)):
        if isinstance(entry, str) and entry != "default" and "=" not in entry:
            message = f'"{entry}" is neither "default" nor KEY=PATH'
            raise Misfit(message, hint="write default for the agent", below=(index,))
    return result


def extends(value: Value) -> Value:
    """Return extends as a mapping; a text is a service."""
    if isinstance(value, str):
        return {"service": value}
    if not isinstance(value, dict):
        raise unfit("a service or a mapping", value, hint="write service: NAME below it")
    for key, entry in value.items():
        if key not in {"service", "file"}:
            from difflib import get_close_matches  # noqa: PLC0415 - for mistakes alone

            near = get_close_matches(key, ("service", "file"), n=1)
            hint = f'did you mean "{near[0]}"?' if near else "known here: file, service"
            raise Misfit(f'unknown key "{key}"', hint=hint, below=(key,))
        if entry is not None and not isinstance(entry, str):
            raise Misfit(f"expected text, not {kind(entry)}", hint="put it in quotes", below=(key,))
    if value.get("service") is None:
        raise Misfit('"service" is missing', hint="name the service to extend")
    return value


def env_files(value: Value) -> Value:
    """Return env_file as a list of mappings."""

    def one(entry: Value) -> Value:
        if isinstance(entry, str):
            return {"path": entry, "required": True}
        if isinstance(entry, dict):
            return entry
        raise unfit("a path or a mapping", entry)

    return each([value] if isinstance(value, str) else value, one, "text or a list")


def file_references(value: Value) -> Value:
    """Return references to secrets or configs as mappings."""

    def one(entry: Value) -> Value:
        if isinstance(entry, str):
            return {"source": entry}
        if isinstance(entry, dict):
            return entry
        raise unfit("a name or a mapping", entry, hint="write a name, or a mapping with source")

    return each(value, one)


def gpus(value: Value) -> Value:
    """Return gpus as a list of requests; "all" is one for all."""
    if value == "all":
        return [{"count": -1}]
    if isinstance(value, str):
        raise Misfit('expected "all" or a list', hint="write all")
    if not isinstance(value, list):
        raise unfit('"all" or a list', value, hint="write all, or a list of requests")
    return value


def device_request(value: Value) -> Value:
    """Return a reservation of devices, which must say what they are able to do."""
    if isinstance(value, dict) and value.get("capabilities") is None:
        raise Misfit('"capabilities" is missing', hint='say what is needed, as in ["gpu"]')
    return value


def ports(value: Value) -> Value:
    """Return ports as mappings: one per container port."""
    if not isinstance(value, list):
        raise unfit("a list", value, hint="begin each port with a dash")
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
    raise unfit("a port", entry, hint='put it in quotes, as in "8080:80"')


def mounts(value: Value) -> Value:
    """Return a service's volumes as mappings."""

    def one(entry: Value) -> Value:
        if isinstance(entry, str):
            return shorthand.expand_volume(entry)
        if isinstance(entry, dict):
            return entry
        raise unfit("a mount", entry)

    return each(value, one)


def devices(value: Value) -> Value:
    """Return devices as mappings."""

    def one(entry: Value) -> Value:
        if isinstance(entry, str):
            return shorthand.expand_device(entry)
        if isinstance(entry, dict):
            return entry
        raise unfit("a device", entry)

    return each(value, one)


def schedule(value: Value) -> Value:
    """Return an entry of a job's schedule as a mapping; a text is a crontab expression."""
    if isinstance(value, str):
        return {"cron": value}
    if isinstance(value, dict):
        return value
    raise unfit("a crontab expression or a mapping", value)


def ulimit(value: Value) -> Value:
    """Return a ulimit with both its numbers; one that was written as one number says so."""
    if isinstance(value, dict):
        return value
    both = integer(value)
    return {"soft": both, "hard": both, SINGLE: True}


def maybe_external(value: Value) -> Value:
    """Return a resource whose deprecated ``external: {name: x}`` is spelled out."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise unfit("a mapping", value)
    external = value.get("external")
    if not isinstance(external, dict):
        return value
    for key in external:
        if key != "name" and not key.startswith("x-"):
            hint = "write external: true, and name beside it"
            raise Misfit(f'unknown key "{key}"', hint=hint, below=("external", key))
    marks = value.marks if isinstance(value, MarkedMap) else None
    result = MarkedMap(value, marks)
    result["external"] = True
    name = external.get("name")
    if name is not None:
        if not isinstance(name, str):
            raise Misfit(
                f"expected text, not {kind(name)}",
                hint="put it in quotes",
                below=("external", "name"),
            )
        if result.get("name") not in {None, name}:
            raise Misfit("name and external.name contradict each other", hint="keep name only")
        result["name"] = name
    return result
