"""From the canonical tree to the model, and from pydantic's complaints to ours.

Nothing of pydantic's wording, and no value of the file, gets into a message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from orchestra.spec.findings import Findings
from orchestra.spec.keypath import KeyPath
from orchestra.spec.model.later import Later
from orchestra.spec.model.project import Project
from orchestra.spec.shapes import hint_for, kind
from orchestra.spec.spelling import shortened, suggestion
from orchestra.spec.tree import MarkedList, Value, child, copy, entries, items, place

_ATTEMPTS = 50
_USED_UP = frozenset({"extends", "include", "version"})
"""Keys that are gone before the model is made."""
_SHOWN = 12
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "is_instance_of": "a duration",
    "time_delta_type": "a duration",
}


def build_project(tree: Value, findings: Findings) -> Project | None:
    """Return the model of a tree; parts that do not fit are noted and left out."""
    rest = tree
    for _ in range(_ATTEMPTS):
        try:
            return Project.model_validate(rest)
        except ValidationError as error:
            rest = copy(tree) if rest is tree else rest
            bad = [_note(detail, rest, findings) for detail in error.errors(include_url=False)]
            removed = [_remove(rest, path) for path in sorted(bad, key=_order, reverse=True)]
            if not any(removed) or findings.full:
                return None
    return None


def check_nulls(findings: Findings) -> None:
    """Note the keys without a value that the model does not know."""
    for path, mark in findings.nulls:
        at = model_at(path[:-1])
        if at is not None and path[-1] not in fields_at(path[:-1]) | _USED_UP:
            message, hint = unknown_key(path)
            findings.add(message, path, mark, hint=hint)


def _note(detail: ErrorDetails, tree: Value, findings: Findings) -> KeyPath:
    path = _path_in(tree, tuple(detail["loc"]))
    if findings.full:
        findings.untold = True
    elif detail["type"] != "missing" or not findings.holds(path):
        message, hint = _words(detail, path)
        findings.add(message, path, place(tree, path), hint=hint)
    return path


def _order(path: KeyPath) -> tuple[tuple[int, str], ...]:
    """Return what sorts the items of a list by number, so that the last can be taken out first."""
    return tuple((part, "") if isinstance(part, int) else (-1, part) for part in path)


def _path_in(tree: Value, loc: KeyPath) -> KeyPath:
    """Drop what pydantic adds to a location: names of union members and the like."""
    path: list[str | int] = []
    for index, part in enumerate(loc):
        present, below = child(tree, part)
        if present:
            tree = below
            path.append(part)
        elif index == len(loc) - 1 and isinstance(tree, dict):
            path.append(part)
    return tuple(path)


def _words(detail: ErrorDetails, path: KeyPath) -> tuple[str, str | None]:
    context = detail.get("ctx", {})
    given = kind(detail["input"])
    match detail["type"]:
        case "extra_forbidden":
            return unknown_key(path)
        case "missing":
            return f'"{path[-1]}" is missing', f"write {path[-1]} here"
        case "literal_error" | "enum":
            choices = str(context.get("expected", "")).replace("'", '"')
            if not isinstance(detail["input"], str):
                return f"expected {choices}, not {given}", "choose one"
            names = re.findall('"([^"]+)"', choices)
            return f"expected {choices}", suggestion(detail["input"], names) or "choose one"
        case "greater_than_equal":
            return f"expected at least {context.get('ge')}", "choose a greater number"
        case "less_than_equal":
            return f"expected at most {context.get('le')}", "choose a smaller number"
        case other:
            expected = _EXPECTED.get(other, "something else")
            return f"expected {expected}, not {given}", hint_for(expected)


def unknown_key(path: KeyPath) -> tuple[str, str | None]:
    """Return what to say of a key that the model does not know, and the hint."""
    known = sorted(fields_at(path[:-1]))
    hint = suggestion(str(path[-1]), known)
    if hint is None and len(known) <= _SHOWN:
        hint = f"known here: {', '.join(known)}"
    return f'unknown key "{shortened(str(path[-1]))}"', hint or 'a key of your own begins with "x-"'


def note_unknown_keys(tree: Value, findings: Findings) -> None:
    """Note the keys of a merged tree that the model does not know, below its sections."""
    for section, resources, _ in entries(tree):
        for name, resource, _ in entries(resources):
            _note_below(resource, findings, (section, name))


def _note_below(value: Value, findings: Findings, path: KeyPath) -> None:
    if isinstance(value, list):
        for index, (entry, _) in enumerate(items(value)):
            _note_below(entry, findings, (*path, index))
        return
    known = fields_at(path) if isinstance(value, dict) else frozenset()
    for key, entry, mark in entries(value):
        if key.startswith("x-"):
            continue
        if known and key not in known:
            message, hint = unknown_key((*path, key))
            findings.add(message, (*path, key), mark, hint=hint)
        else:
            _note_below(entry, findings, (*path, key))


def model_at(path: KeyPath) -> type[BaseModel] | None:
    """Return the model of a place, None where keys are anyone's."""
    at: object = Project
    for part in path:
        at = _step(at, part)
    return at if isinstance(at, type) and issubclass(at, BaseModel) else None


def fields_at(path: KeyPath) -> frozenset[str]:
    """Return the keys that the model knows at a place."""
    at = model_at(path)
    if at is None:
        return frozenset()
    hidden = {"name"} if len(path) == 2 and path[0] == "services" else set()
    names = {field.alias or name for name, field in at.model_fields.items()}
    return frozenset(name for name in names - hidden if not name.startswith("#"))


def _step(at: object, part: str | int) -> object:
    if isinstance(at, type) and issubclass(at, BaseModel):
        for name, field in at.model_fields.items():
            if part in {field.alias, name}:
                return _element(field.annotation)
        return None
    arguments = get_args(at)
    if get_origin(at) in {tuple, Mapping} and arguments:
        return _element(arguments[0] if isinstance(part, int) else arguments[-1])
    return None


def _element(annotation: object) -> object:
    origin = get_origin(annotation)
    if origin is Annotated:
        later = [one for one in get_args(annotation)[1:] if isinstance(one, Later)]
        return later[0].model if later else _element(get_args(annotation)[0])
    if origin in {Union, UnionType}:
        present = [choice for choice in get_args(annotation) if choice is not type(None)]
        return _element(present[0])
    return annotation


def _remove(tree: Value, path: KeyPath) -> bool:
    """Take the culprit out; where it is a missing key, the element that lacks it."""
    while path:
        parent: Value = tree
        present = True
        for part in path[:-1]:
            present, parent = child(parent, part) if present else (False, None)
        key = path[-1]
        if isinstance(parent, dict) and isinstance(key, str) and key in parent:
            del parent[key]
            return True
        if isinstance(parent, list) and isinstance(key, int) and key < len(parent):
            del parent[key]
            if isinstance(parent, MarkedList):
                del parent.marks[key]
            return True
        path = path[:-1]
    return False
