"""The model that ``config --no-interpolate`` shows: merged and completed, values as written.

Only what has a short form is spelled out, and only where no variable is in the way; the table says
which. Such a tree never becomes a Project: a text may stand where the model wants a number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestra.spec import longforms, shapes
from orchestra.spec.defaults import apply_defaults
from orchestra.spec.findings import Findings, Misfit
from orchestra.spec.keypath import KeyPath, PathTable
from orchestra.spec.normalize import normalize
from orchestra.spec.phases import Phases
from orchestra.spec.tree import (
    EXTENSIONS,
    Mark,
    MarkedList,
    MarkedMap,
    Value,
    adopt,
    copy,
    entries,
    items,
    lookup,
    mapping,
)

Transform = Callable[[Value], Value]


def _each(transform: Transform) -> Transform:
    """Apply a transform of lists to a list of one item, so that a misfit costs one item only."""

    def one(value: Value) -> Value:
        result = transform([value])
        return result[0] if isinstance(result, list) and result else value

    return one


def _count(value: Value) -> Value:
    return MarkedList([{"count": "all"}]) if value == "all" else value


def _env_file(value: Value) -> Value:
    return {"required": True, **value} if isinstance(value, dict) else value


RULES: PathTable[Transform] = PathTable(
    (
        ("services.*.{networks,models}", longforms.keyed),
        ("services.*.depends_on", longforms.dependencies),
        ("services.*.env_file", longforms.env_files),
        ("services.*.env_file.[]", _env_file),
        ("services.*.extends", longforms.extends),
        ("services.*.{dns,label_file}", shapes.texts),
        ("services.*.gpus", _count),
        ("services.*.ports", longforms.ports),
        ("services.*.volumes.[]", _each(longforms.mounts)),
        ("services.*.devices.[]", _each(longforms.devices)),
        ("services.*.{secrets,configs}.[]", _each(longforms.file_references)),
        ("services.*.develop.watch.[].{ignore,include}", shapes.texts),
        ("services.*.build", longforms.build),
        ("services.*.build.secrets.[]", _each(longforms.file_references)),
        ("services.*.build.additional_contexts", shapes.text_map),
        ("services.*.build.ssh", shapes.optional_text_map),
        ("services.*.build.{provenance,sbom}", shapes.flag_text),
        ("{networks,volumes,secrets,configs}.*", longforms.maybe_external),
    )
)


def raw_form(tree: Value, findings: Findings, file: str, phases: Phases) -> MarkedMap:
    """Return one document with its short forms spelled out; what is wrong in it is noted."""
    if phases.consistency or not isinstance(tree, dict):
        normalize(_without_variables(tree), findings, file)
    result = _descend(tree, findings, (), None, RULES)
    return result if isinstance(result, MarkedMap) else MarkedMap()


def _has_variable(value: Value) -> bool:
    if isinstance(value, str):
        return "$" in value
    if isinstance(value, dict):
        return any(map(_has_variable, value.values()))
    return isinstance(value, list) and any(map(_has_variable, value))


def _without_variables(value: Value) -> Value:
    """Return what can be checked before variables have values."""
    if isinstance(value, dict):
        result = MarkedMap()
        for key, entry, mark in entries(value):
            if not (isinstance(entry, str) and "$" in entry):
                result.put(key, _without_variables(entry), mark)
        return result
    if isinstance(value, list):
        grown = MarkedList()
        for entry, mark in items(value):
            if not (isinstance(entry, str) and "$" in entry):
                grown.add(_without_variables(entry), mark)
        return grown
    return value


def _descend(
    value: Value,
    findings: Findings,
    path: KeyPath,
    mark: Mark | None,
    rules: PathTable[Transform] | None,
) -> Value:
    if rules is None:
        return value
    if rules.rule is not None and value is not None:
        try:
            value = adopt(rules.rule(value), mark)
        except Misfit as error:
            if not _has_variable(value):
                findings.misfit(error, path, mark)
    if isinstance(value, dict):
        result = MarkedMap()
        for key, entry, at in entries(value):
            below = rules.step(key)
            result.put(key, _descend(entry, findings, (*path, key), at, below), at)
        return result
    if isinstance(value, list):
        grown = MarkedList()
        for index, (entry, at) in enumerate(items(value)):
            below = rules.step(index)
            grown.add(_descend(entry, findings, (*path, index), at, below), at)
        return grown
    return value


def take_values(tree: Value, environment: Mapping[str, str]) -> Value:
    """Return the tree in which variables without a value have that of ``environment``.

    It is for what an included file's own env files say, which nobody knows outside of it.
    """
    result = copy(tree)
    for _, service, _ in entries(lookup(result, "services")):
        for owner, key in ((service, "environment"), (lookup(service, "build"), "args")):
            variables = lookup(owner, key)
            if isinstance(variables, list):
                for index, name in enumerate(variables):
                    if isinstance(name, str) and name in environment:
                        variables[index] = f"{name}={_escaped(environment[name])}"
            for name, value, _ in entries(variables):
                if value is None and name in environment:
                    mapping(variables)[name] = _escaped(environment[name])
    return result


def _escaped(text: str) -> str:
    return text.replace("$", "$$")


def complete(tree: Value, name: str, phases: Phases) -> dict[str, Value]:
    """Return the merged tree with what it implies, keys sorted, as far as the phases go.

    Variables without a value of their own keep none: what is outside is not asked.
    """
    implied = apply_defaults(tree, name, {}, phases)
    for key, service, _ in entries(lookup(implied, "services")):
        if isinstance(service, MarkedMap):
            _complete_service(service, lookup(tree, "services", key))
    if not phases.normalize:
        _restore_names(implied, tree)
    ordered = _sorted(implied)
    return ordered if isinstance(ordered, dict) else {}


def _complete_service(service: MarkedMap, written: Value) -> None:
    del service["name"]
    for kind in ("networks", "models"):
        attached = service.get(kind)
        if isinstance(attached, dict):
            for key, entry in attached.items():
                if not entry or EXTENSIONS in mapping(entry):
                    attached[key] = {} if entry else None
    _complete_items(service)
    arguments = lookup(written, "build", "args")
    if arguments is not None:
        mapping(service["build"])["args"] = arguments


def _complete_items(service: MarkedMap) -> None:
    for _, dependency, _ in entries(service.get("depends_on")):
        if isinstance(dependency, dict):
            dependency.setdefault("condition", "service_started")
            dependency.setdefault("required", True)
    for port, _ in items(service.get("ports")):
        if isinstance(port, dict):
            port.setdefault("protocol", "tcp")
            port.setdefault("mode", "ingress")
    for mount, _ in items(service.get("volumes")):
        bind = lookup(mount, "bind")
        if isinstance(bind, dict):
            bind.setdefault("create_host_path", True)
    devices = lookup(service, "deploy", "resources", "reservations", "devices")
    for request in (*_list(service.get("gpus")), *_list(devices)):
        if lookup(request, "count") == -1:
            mapping(request)["count"] = "all"


def _restore_names(implied: MarkedMap, written: Value) -> None:
    """Take out the names that ``apply_defaults`` gave, and nothing else."""
    if lookup(written, "name") is None:
        del implied["name"]
    else:
        implied["name"] = lookup(written, "name")
    for kind in ("networks", "volumes", "secrets", "configs"):
        for key, resource, _ in entries(implied.get(kind)):
            if lookup(resource, "name") == "":
                del mapping(resource)["name"]
                mapping(implied[kind])[key] = resource or lookup(written, kind, key)


def _list(value: Value) -> list[Value]:
    return value if isinstance(value, list) else []


def _sorted(value: Value) -> Value:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_sorted(entry) for entry in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
