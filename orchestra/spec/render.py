"""A project as ``docker compose config`` prints it: canonical keys, in its order.

Its JSON differs from its YAML: no models, no x-* below the top, and null commands shown.

What is empty is left out, but for the attributes for which empty says something (``pointers``);
sizes are text, durations Go's, and every dollar is doubled so that the text can be read again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import cache

from orchestra.spec.model.base import Element
from orchestra.spec.model.build import Build
from orchestra.spec.model.container import Container, EnvFile, ServiceModel
from orchestra.spec.model.deploy import Deploy
from orchestra.spec.model.develop import Trigger
from orchestra.spec.model.files import Config, FileReference, Secret
from orchestra.spec.model.job import Job
from orchestra.spec.model.limits import Ulimit
from orchestra.spec.model.network import Attachment, Network
from orchestra.spec.model.project import Project
from orchestra.spec.model.service import Service
from orchestra.spec.tree import Value, copy
from orchestra.spec.units import format_duration

_SIZES = frozenset(
    {"mem_limit", "mem_reservation", "memswap_limit", "mem_swappiness", "shm_size", "memory"}
    | {"size", "rate"}
)
_IMPLIED: Mapping[tuple[type[Element], str], Value] = {
    (Deploy, "resources"): {},
    (Deploy, "placement"): {},
    (Network, "ipam"): {},
    (Trigger, "exec"): {"command": None},
}
"""Mappings that JSON shows even when they are not given, and YAML only when they are not empty."""
_TELLING = frozenset(
    {"required", "command", "entrypoint", "create_host_path", *(name for _, name in _IMPLIED)}
)
"""Attributes that may be shown when empty, besides the pointers."""
_SECTIONS = ("services", "jobs", "networks", "volumes", "secrets", "configs", "models")


def render_project(project: Project, *, json_shape: bool = False) -> dict[str, Value]:
    """Return the project as a tree; ``json_shape`` for what ``--format json`` prints."""
    rendered = _Renderer(json_shape=json_shape)
    result: dict[str, Value] = {"name": project.name}
    for section in _SECTIONS[:-1] if json_shape else _SECTIONS:
        elements: Mapping[str, Element] = getattr(project, section)
        if elements or section == "services":
            result[section] = {key: rendered.element(elements[key]) for key in sorted(elements)}
    for key in sorted(project.extensions):
        result[key] = _sorted(project.extensions[key])
    escaped = _escape(result)
    assert isinstance(escaped, dict)
    return dict(sorted(escaped.items())) if json_shape else escaped


class _Renderer:
    def __init__(self, *, json_shape: bool) -> None:
        self.json_shape = json_shape

    def element(self, element: Element) -> Value:
        match element:
            case Ulimit() if element.single and element.soft:
                return element.soft
            case Attachment() | ServiceModel() if not element.model_fields_set:
                return None
            case _:
                return self.fields(element)

    def fields(self, element: Element) -> Value:
        result: dict[str, Value] = {}
        hidden = _hidden(element, json_shape=self.json_shape)
        for name in _names(type(element)):
            value = element.__dict__[name]
            if not value and name not in _TELLING and name not in element.pointers:
                continue
            if name in hidden or not self.shown(element, name, value):
                continue
            result[name] = self.attribute(element, name, value)
            if value is None and (type(element), name) in _IMPLIED:
                result[name] = copy(_IMPLIED[type(element), name])
        extensions: Mapping[str, Value] = getattr(element, "extensions", {})
        if not self.json_shape:
            for key in sorted(extensions):
                result[key] = _sorted(extensions[key])
        return result

    def shown(self, element: Element, name: str, value: object) -> bool:
        if self.json_shape and name in {"command", "entrypoint"} and isinstance(element, Container):
            return True
        if name == "create_host_path" or (name == "required" and isinstance(element, EnvFile)):
            return value is False
        if name in element.pointers:
            return value is not None
        if (type(element), name) in _IMPLIED:
            return self.json_shape or (isinstance(value, Element) and bool(self.element(value)))
        if isinstance(value, Element):
            return True
        return bool(value) or (name in {"command", "entrypoint"} and value is not None)

    def attribute(self, element: Element, name: str, value: object) -> Value:
        if name in _SIZES and isinstance(value, int):
            return str(value)
        if name == "mode" and isinstance(element, FileReference) and isinstance(value, int):
            return f"0{value:o}"
        if isinstance(value, Mapping):
            return self.mapping(element, name, value)
        return self.value(value)

    def mapping(self, element: Element, name: str, value: Mapping[str, object]) -> Value:
        if name == "extra_hosts":
            hosts: list[str] = [
                f"{host}={address}"
                for host, addresses in value.items()
                if isinstance(addresses, tuple)
                for address in addresses
            ]
            return list[Value](sorted(hosts))
        if name == "ssh" and isinstance(element, Build):
            return [key if path is None else f"{key}={path}" for key, path in sorted(value.items())]
        return {key: self.value(value[key]) for key in sorted(value)}

    def value(self, value: object) -> Value:
        match value:
            case Element():
                return self.element(value)
            case timedelta():
                return format_duration(value)
            case float():
                return int(value) if value.is_integer() else value
            case Mapping():
                return {str(key): self.value(value[key]) for key in sorted(value)}
            case tuple():
                return [self.value(entry) for entry in value]
            case str():
                return str(value)
            case bool() | int() | None:
                return value
            case _:
                raise TypeError(type(value).__name__)


def _hidden(element: Element, *, json_shape: bool) -> set[str]:
    hidden = {"extensions", "single"}
    if isinstance(element, Service) or (json_shape and isinstance(element, Job)):
        hidden.add("name")
    if isinstance(element, Secret) or (isinstance(element, Config) and element.environment):
        hidden.add("content")
    return hidden


@cache
def _names(kind: type[Element]) -> tuple[str, ...]:
    """Return the attributes of an element, its own before those it has from others."""
    bases = [base for base in kind.__mro__ if issubclass(base, Element)]
    own = dict.fromkeys(name for base in bases for name in vars(base).get("__annotations__", ()))
    return tuple(name for name in own if name in kind.model_fields)


def _sorted(value: object) -> Value:
    match value:
        case dict():
            return {str(key): _sorted(value[key]) for key in sorted(value)}
        case list() | tuple():
            return [_sorted(entry) for entry in value]
        case float() if value.is_integer():
            return int(value)
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)


def _escape(value: Value) -> Value:
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key.replace("$", "$$"): _escape(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_escape(entry) for entry in value]
    return value
