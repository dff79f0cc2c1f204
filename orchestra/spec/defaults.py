"""What the files leave unsaid: implicit network, names, dependencies, values from outside.

Works on the merged canonical tree; the result is what the model is built from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestra.spec.hooks import complete_hooks
from orchestra.spec.phases import Phases
from orchestra.spec.shorthand import clean
from orchestra.spec.tree import (
    EXTENSIONS,
    Mark,
    MarkedMap,
    Value,
    copy,
    entries,
    items,
    lookup,
    mapping,
    mark_of,
    shallow,
)

_NAMED = ("networks", "volumes", "secrets", "configs")


def apply_defaults(
    tree: Value, name: str, environment: Mapping[str, str], phases: Phases
) -> MarkedMap:
    """Return the tree with everything implied written out, as far as the phases go."""
    result = copy(tree)
    if not isinstance(result, MarkedMap):
        return MarkedMap()
    result.pop("version", None)
    result.pop("include", None)
    result["name"] = name
    for key, service, mark in _workloads(result):
        if isinstance(service, MarkedMap):
            service.put("name", key, mark)
            _complete_items(service)
            if phases.consistency:
                _agree_on_replicas(service)
            if phases.normalize:
                _complete_service(service, mark, environment)
    if phases.normalize:
        _default_network(result)
        complete_hooks(lookup(result, "services"))
    for kind in _NAMED:
        resources = lookup(result, kind)
        if isinstance(resources, MarkedMap):
            _name_resources(resources, name if phases.normalize else None)
    _content_from_environment(result, environment)
    return result


def _workloads(tree: Value) -> list[tuple[str, Value, Mark | None]]:
    return [*entries(lookup(tree, "services")), *entries(lookup(tree, "jobs"))]


def default_contexts(tree: Value, directory: str) -> Value:
    """Return the tree in which a build without a context has the directory of its own files."""

    def complete(service: Value, mark: Mark | None) -> Value:
        build = lookup(service, "build")
        if not isinstance(service, MarkedMap) or not isinstance(build, dict) or "context" in build:
            return service
        grown, inside = shallow(service), shallow(build)
        inside.put("context", directory, mark)
        grown["build"] = inside
        return grown

    return _with_workloads(tree, complete)


def resolve_environment(tree: Value, environment: Mapping[str, str], phases: Phases) -> Value:
    """Return the tree with variables that have no value of their own taken from outside."""
    environments = phases.normalize or phases.resolve_environment

    def complete(service: Value, _mark: Mark | None) -> Value:
        variables = lookup(service, "environment") if environments else None
        arguments = lookup(service, "build", "args") if phases.normalize else None
        if not any(None in mapping(values).values() for values in (variables, arguments)):
            return service
        grown = copy(service)
        if environments:
            _take_values(lookup(grown, "environment"), environment)
        if phases.normalize:
            _take_values(lookup(grown, "build", "args"), environment)
        return grown

    result = _with_workloads(tree, complete)
    if isinstance(result, MarkedMap):
        result.update({key: copy(result[key]) for key in ("secrets", "configs") if key in result})
        _content_from_environment(result, environment)
    return result


def _with_workloads(tree: Value, complete: Callable[[Value, Mark | None], Value]) -> Value:
    """Return the tree with services and jobs completed; what nothing changes is shared with it."""
    if not isinstance(tree, dict):
        return tree
    result = shallow(tree)
    for kind in ("services", "jobs"):
        workloads = lookup(tree, kind)
        if isinstance(workloads, dict):
            grown = result[kind] = shallow(workloads)
            for name, workload, mark in entries(workloads):
                grown[name] = complete(workload, mark)
    return result


def _take_values(variables: Value, environment: Mapping[str, str]) -> None:
    for key, value, _ in entries(variables):
        if value is None and key in environment:
            mapping(variables)[key] = environment[key]


def _complete_service(
    service: MarkedMap, mark: Mark | None, environment: Mapping[str, str]
) -> None:
    if service.get("pull_policy") == "if_not_present":
        service["pull_policy"] = "missing"
    _take_values(service.get("environment"), environment)
    _complete_build(service.get("build"), environment)
    for mount in _maps(service.get("volumes")):
        if isinstance(mount.get("target"), str):
            mount["target"] = clean(str(mount["target"]))
    _imply_dependencies(service, mark)


def _agree_on_replicas(service: MarkedMap) -> None:
    deploy = service.get("deploy")
    if isinstance(deploy, dict) and "scale" in service:
        deploy.setdefault("replicas", service["scale"])


def _spell_out(container: dict[str, Value]) -> None:
    for kind in ("networks", "models"):
        for key, value, _ in entries(container.get(kind)):
            if value is None or value == {}:  # what was written as an empty mapping is shown as one
                mapping(container[kind])[key] = {} if value is None else {EXTENSIONS: {}}


def _complete_items(service: MarkedMap) -> None:
    for secret in _maps(service.get("secrets")):
        if "source" in secret:
            secret.setdefault("target", f"/run/secrets/{secret['source']}")
    devices = lookup(service, "deploy", "resources", "reservations", "devices")
    for request in (*_maps(service.get("gpus")), *_maps(devices)):
        if not {"count", "device_ids"} & set(request):
            request["count"] = -1
    for holder in (service, *_maps(service.get("pre_start"))):
        _spell_out(holder)


def _maps(value: Value) -> list[dict[str, Value]]:
    return [entry for entry in _list(value) if isinstance(entry, dict)]


def _list(value: Value) -> list[Value]:
    return value if isinstance(value, list) else []


def _complete_build(build: Value, environment: Mapping[str, str]) -> None:
    if not isinstance(build, dict):
        return
    if "dockerfile_inline" not in build:
        build.setdefault("dockerfile", "Dockerfile")
    arguments = build.get("args")
    _take_values(arguments, environment)
    if isinstance(arguments, dict):
        for key in [key for key, value in arguments.items() if value is None]:
            del arguments[key]


def _imply_dependencies(service: MarkedMap, mark: Mark | None) -> None:
    implied: dict[str, tuple[bool, Mark | None]] = {}
    for link, at in items(service.get("links")):
        implied.setdefault(str(link).partition(":")[0], (True, at))
    for key in ("network_mode", "ipc", "pid", "uts", "cgroup"):
        value = service.get(key)
        if isinstance(value, str) and value.startswith("service:"):
            implied.setdefault(value.removeprefix("service:"), (True, mark_of(service, key)))
    for source, at in items(service.get("volumes_from")):
        if isinstance(source, str) and not source.startswith("container:"):
            implied.setdefault(source.partition(":")[0], (False, at))
    if not implied:
        return
    known = service.get("depends_on")
    if not isinstance(known, MarkedMap):
        known = MarkedMap()
        service.put("depends_on", known, mark)
    for other, (restart, at) in implied.items():
        if other not in known:
            entry: dict[str, Value] = {"condition": "service_started", "required": True}
            known.put(other, {**entry, "restart": True} if restart else entry, at or mark)


def _default_network(tree: MarkedMap) -> None:
    used = False
    for _, service, _ in _workloads(tree):
        if not isinstance(service, MarkedMap) or "provider" in service or "network_mode" in service:
            continue
        networks = service.get("networks")
        if networks is None or networks == {}:
            networks = service["networks"] = MarkedMap({"default": {}})
        used = used or "default" in mapping(networks)
    if not used:
        return
    networks = tree.get("networks")
    if not isinstance(networks, MarkedMap):
        networks = tree["networks"] = MarkedMap()
    networks.setdefault("default", None)


def _name_resources(resources: MarkedMap, project: str | None) -> None:
    for key, written, mark in entries(resources):
        value = MarkedMap() if written is None else written
        resources.put(key, value, mark)
        if isinstance(value, dict) and value.get("name") is None:
            own = "" if project is None else f"{project}_{key}"
            value["name"] = key if project and value.get("external") is True else own


def _content_from_environment(tree: MarkedMap, environment: Mapping[str, str]) -> None:
    for kind, attribute in (("secrets", "#content"), ("configs", "content")):
        for _, value, _ in entries(tree.get(kind)):
            variable = lookup(value, "environment")
            if isinstance(value, dict) and isinstance(variable, str) and variable in environment:
                value.setdefault(attribute, environment[variable])
