"""Canonical trees to elements of the model: strict, every fault noted, what is unfit left out.

One small function per type of annotation, made on first use. No value of the file gets into a
message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from types import UnionType
from typing import Annotated, Literal, TypeVar, Union, cast, get_args, get_origin

from orchestra.errors import BugError
from orchestra.spec.keypath import KeyPath
from orchestra.spec.model.base import (
    EXTENSIONS,
    Between,
    Element,
    ExtensibleElement,
    Slot,
    Span,
    slots_of,
)
from orchestra.spec.shapes import hint_for, kind
from orchestra.spec.tree import Value

E = TypeVar("E", bound=Element)
Note = Callable[[KeyPath, str, str], None]
"""Takes the place of a fault, what is wrong, and what to do about it."""

_Bind = Callable[[Value, KeyPath, Note], object]
_SHOWN = 12
_SCALARS: Mapping[object, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Span: "a duration",
}


class _Unfit:
    """Stands for a value that was noted as wrong."""


_UNFIT = _Unfit()


def bind(element: type[E], tree: Value, note: Note) -> E | None:
    """Return the element of a tree, None when nothing is left of it."""
    found = _binder(element)(tree, (), note)
    return None if isinstance(found, _Unfit) else cast("E", found)


def bind_known(element: type[E], tree: object) -> E:
    """Return the element of a tree that is known to be right.

    :raises BugError: when it is not.
    """

    def fail(path: KeyPath, message: str, _hint: str) -> None:
        raise BugError(f"{element.__name__}{path}: {message}")

    found = bind(element, cast("Value", tree), fail)
    assert found is not None
    return found


_BINDERS: dict[object, _Bind] = {}


def _binder(annotation: object) -> _Bind:
    if annotation not in _BINDERS:
        _BINDERS[annotation] = _make_binder(annotation)
    return _BINDERS[annotation]


def _make_binder(annotation: object) -> _Bind:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _within(arguments[1:], _binder(arguments[0]))
    if origin in {Union, UnionType}:
        (choice,) = (argument for argument in arguments if argument is not type(None))
        return _optional(_binder(choice))
    if origin is tuple:
        return _list(_binder(arguments[0]))
    if origin is Mapping:
        return _mapping(_binder(arguments[1]))
    if origin is Literal:
        return _choice(arguments, str)
    if annotation is object:
        return _anything
    if annotation in _SCALARS:
        return _scalar(annotation)
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return _choice([str(member) for member in annotation], annotation)
    if isinstance(annotation, type) and issubclass(annotation, Element):
        return _element(annotation)
    raise BugError(f"no way to bind {annotation!r}")


def _expected(what: str, value: Value, path: KeyPath, note: Note) -> _Unfit:
    note(path, f"expected {what}, not {kind(value)}", hint_for(what))
    return _UNFIT


def _anything(value: Value, _path: KeyPath, _note: Note) -> object:
    return value


def _scalar(wanted: object) -> _Bind:
    def bind_scalar(value: Value, path: KeyPath, note: Note) -> object:
        if wanted is float and type(value) is int:
            return float(value)
        if wanted is Span and isinstance(value, Span):
            return value
        if type(value) is wanted or (wanted is str and isinstance(value, str)):
            return value
        return _expected(_SCALARS[wanted], value, path, note)

    return bind_scalar


def _within(marks: Iterable[object], inner: _Bind) -> _Bind:
    bounds = [mark for mark in marks if isinstance(mark, Between)]

    def bind_within(value: Value, path: KeyPath, note: Note) -> object:
        found = inner(value, path, note)
        if not isinstance(found, int | float):
            return found
        for bound in bounds:
            if bound.least is not None and found < bound.least:
                note(path, f"expected at least {bound.least}", "choose a greater number")
                return _UNFIT
            if bound.most is not None and found > bound.most:
                note(path, f"expected at most {bound.most}", "choose a smaller number")
                return _UNFIT
        return found

    return bind_within if bounds else inner


def _optional(inner: _Bind) -> _Bind:
    def bind_optional(value: Value, path: KeyPath, note: Note) -> object:
        return None if value is None else inner(value, path, note)

    return bind_optional


def _list(inner: _Bind) -> _Bind:
    def bind_list(value: Value, path: KeyPath, note: Note) -> object:
        if not isinstance(value, list):
            return _expected("a list", value, path, note)
        found = (inner(entry, (*path, index), note) for index, entry in enumerate(value))
        return tuple(entry for entry in found if entry is not _UNFIT)

    return bind_list


def _mapping(inner: _Bind) -> _Bind:
    def bind_mapping(value: Value, path: KeyPath, note: Note) -> object:
        if not isinstance(value, dict):
            return _expected("a mapping", value, path, note)
        found = {key: inner(entry, (*path, key), note) for key, entry in value.items()}
        return {key: entry for key, entry in found.items() if entry is not _UNFIT}

    return bind_mapping


def _choice(choices: Iterable[str], make: Callable[[str], object]) -> _Bind:
    known = list(choices)
    quoted = [f'"{choice}"' for choice in known]
    named = f"{', '.join(quoted[:-1])} or {quoted[-1]}" if known[1:] else quoted[0]

    def bind_choice(value: Value, path: KeyPath, note: Note) -> object:
        if isinstance(value, str) and value in known:
            return make(value)
        near = get_close_matches(str(value), known, n=1)
        note(path, f"expected {named}", f'did you mean "{near[0]}"?' if near else "choose one")
        return _UNFIT

    return bind_choice


def _element(element: type[Element]) -> _Bind:
    extensible = issubclass(element, ExtensibleElement)

    def bind_element(value: Value, path: KeyPath, note: Note) -> object:
        if not isinstance(value, dict):
            return _expected("a mapping", value, path, note)
        slots = slots_of(element).items()
        names = {slot.key: (name, slot) for name, slot in slots if slot.key != EXTENSIONS}
        given: dict[str, object] = {}
        extensions: dict[str, object] = {}
        for key, entry in value.items():
            if key in names:
                name, slot = names[key]
                found = _binder(slot.kind)(entry, (*path, key), note)
                if found is not _UNFIT:
                    given[name] = found
            elif extensible and key.startswith("x-"):
                extensions[key] = entry
            else:
                note((*path, key), *unknown_key(key, names.values(), path))
        if extensions:
            given["extensions"] = extensions
        return _complete(element, given, value, path, note)

    return bind_element


def _complete(
    element: type[Element],
    given: Mapping[str, object],
    value: Mapping[str, Value],
    path: KeyPath,
    note: Note,
) -> object:
    required = {name: slot for name, slot in slots_of(element).items() if slot.required}
    for slot in required.values():
        if slot.key not in value:
            note((*path, slot.key), f'"{slot.key}" is missing', f"write {slot.key} here")
    return element(**given) if required.keys() <= given.keys() else _UNFIT


def unknown_key(key: str, names: Iterable[tuple[str, Slot]], path: KeyPath) -> tuple[str, str]:
    """Return what to say of a key that an element does not have."""
    hidden = {EXTENSIONS, "name"} if path[:1] == ("services",) and len(path) == 2 else {EXTENSIONS}
    known = sorted({slot.key for _, slot in names if not slot.key.startswith("#")} - hidden)
    near = get_close_matches(key, known, n=1)
    if near:
        hint = f'did you mean "{near[0]}"?'
    elif len(known) <= _SHOWN:
        hint = f"known here: {', '.join(known)}"
    else:
        hint = 'a key of your own begins with "x-"'
    return f'unknown key "{key}"', hint
