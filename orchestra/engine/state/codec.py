"""Frozen dataclasses to plain JSON values and back, strictly: the form of every record on disk.

Knows what records are made of: str, int, float, bool, None, enums, datetime (ISO 8601), timedelta
(seconds), tuples, mappings with string keys, optional values and dataclasses. Decoding checks
every type and refuses unknown fields, so that a corrupt record is found where it is read. Values
that equal a field's default are left out, and come back as the default.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from typing import Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from orchestra.values import fields_of, items_of

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
T = TypeVar("T")


class DecodeError(ValueError):
    """A value does not have the form that its type asks for; the message names the place."""


def encode(value: object) -> Json:
    """Turn a record into JSON values.

    :raises TypeError: when it holds something that records are not made of.
    """
    if value is None or type(value) is str or type(value) is int or type(value) is bool:
        return value
    if type(value) is tuple:
        return [encode(item) for item in value]
    defaults = _DEFAULTS.get(type(value))
    if defaults is None:
        return _encode_other(value)
    names, items = items_of(value)
    return {
        name: item if type(item) is str else encode(item)
        for name, item, default in zip(names, items, defaults, strict=True)
        if item is not default and item != default
    }


_DEFAULTS: dict[type, tuple[object, ...]] = {}
"""The defaults of the fields of dataclasses that were encoded; nobody else has these."""
_REQUIRED = object()


def _encode_other(value: object) -> Json:
    match value:
        case Enum():
            return encode(value.value)
        case bool() | int() | float() | str():
            return value
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Mapping():
            return {str(key): encode(value[key]) for key in sorted(value)}
        case tuple() | list():
            return [encode(item) for item in value]
        case _:
            _DEFAULTS[type(value)] = _defaults_of(type(value))
            return encode(value)


def _defaults_of(kind: type) -> tuple[object, ...]:
    if not (fields := fields_of(kind)):
        raise TypeError(f"cannot encode {kind.__name__}")
    return tuple(_REQUIRED if field.required else field.default_value() for field in fields)


def decode(kind: type[T], value: object, place: str = "") -> T:
    """Turn JSON values into a record of type ``kind``.

    :raises DecodeError: when the values do not have its form.
    """
    result = _decoder(kind)(value, place or kind.__name__)
    assert isinstance(result, kind)
    return result


_Decoder = Callable[[object, str], object]


_DECODERS: dict[object, _Decoder] = {}


def _decoder(kind: object) -> _Decoder:
    if kind not in _DECODERS:
        _DECODERS[kind] = _make_decoder(kind)
    return _DECODERS[kind]


def _make_decoder(kind: object) -> _Decoder:  # noqa: C901 - one line per kind of type
    origin = get_origin(kind)
    arguments = get_args(kind)
    if origin in {Union, types.UnionType}:
        return _optional(arguments)
    if origin is tuple:
        return _tuple(arguments)
    if origin is Literal:
        return _one_of(arguments)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(arguments[1])
    if isinstance(kind, type):
        if fields_of(kind):
            return _dataclass(kind)
        if issubclass(kind, Enum):
            return _parsed(kind, str)
        if kind is datetime:
            return _parsed(datetime.fromisoformat, str)
        if kind is timedelta:
            return _parsed(lambda seconds: timedelta(seconds=seconds), (int, float))
        if kind is float:
            return _parsed(float, (int, float))
        return _plain(kind)
    supertype = getattr(kind, "__supertype__", None)
    if supertype is not None:
        return _decoder(supertype)
    raise TypeError(f"cannot decode {kind!r}")


def _one_of(words: tuple[object, ...]) -> _Decoder:
    def decode_word(value: object, place: str) -> object:
        if not isinstance(value, str) or value not in words:
            raise DecodeError(f"{place}: it is none of {', '.join(map(repr, words))}")
        return value

    return decode_word


def _plain(kind: type) -> _Decoder:
    def decode_plain(value: object, place: str) -> object:
        if type(value) is not kind:
            raise DecodeError(f"{place}: expected {kind.__name__}, found {type(value).__name__}")
        return value

    return decode_plain


def _parsed(parse: Callable[..., object], form: type | tuple[type, ...]) -> _Decoder:
    def decode_parsed(value: object, place: str) -> object:
        if not isinstance(value, form) or isinstance(value, bool):
            raise DecodeError(f"{place}: found {type(value).__name__}")
        try:
            return parse(value)
        except (ValueError, OverflowError) as err:
            raise DecodeError(f"{place}: {err}") from err

    return decode_parsed


def _optional(arguments: tuple[object, ...]) -> _Decoder:
    inner = [argument for argument in arguments if argument is not types.NoneType]
    if len(inner) != 1:
        raise TypeError(f"cannot decode a union of {inner!r}")
    decoder = _decoder(inner[0])

    def decode_optional(value: object, place: str) -> object:
        return None if value is None else decoder(value, place)

    return decode_optional


def _tuple(arguments: tuple[object, ...]) -> _Decoder:
    def items_of(value: object, place: str) -> list[object]:
        if not isinstance(value, list):
            raise DecodeError(f"{place}: expected a list, found {type(value).__name__}")
        return value

    if len(arguments) == 2 and arguments[1] is Ellipsis:
        each = _decoder(arguments[0])

        def decode_variadic(value: object, place: str) -> object:
            items = items_of(value, place)
            return tuple(each(item, f"{place}[{n}]") for n, item in enumerate(items))

        return decode_variadic
    decoders = [_decoder(argument) for argument in arguments]

    def decode_fixed(value: object, place: str) -> object:
        items = items_of(value, place)
        if len(items) != len(decoders):
            raise DecodeError(f"{place}: expected {len(decoders)} items, found {len(items)}")
        return tuple(
            decoder(item, f"{place}[{n}]")
            for n, (decoder, item) in enumerate(zip(decoders, items, strict=True))
        )

    return decode_fixed


def _mapping(argument: object) -> _Decoder:
    each = _decoder(argument)

    def decode_mapping(value: object, place: str) -> object:
        if not isinstance(value, dict):
            raise DecodeError(f"{place}: expected an object, found {type(value).__name__}")
        return {str(key): each(item, f"{place}.{key}") for key, item in value.items()}

    return decode_mapping


def _dataclass(kind: type) -> _Decoder:
    fields = {field.name: field for field in fields_of(kind)}
    required = {name for name, field in fields.items() if field.required}

    def decoder_of(name: str) -> _Decoder:
        return _decoder(_hint(fields[name].module, fields[name].annotation))

    def decode_dataclass(value: object, place: str) -> object:
        if not isinstance(value, dict):
            raise DecodeError(f"{place}: expected an object, found {type(value).__name__}")
        if unknown := sorted(value.keys() - fields.keys()):
            raise DecodeError(f"{place}: unknown field {unknown[0]!r}")
        if missing := sorted(required - value.keys()):
            raise DecodeError(f"{place}: field {missing[0]!r} is missing")
        return kind(
            **{name: decoder_of(name)(item, f"{place}.{name}") for name, item in value.items()}
        )

    return decode_dataclass


@cache
def _hint(module: str, annotation: str) -> object:
    """Return an annotation's type; one by one, as a record holds few of its type's fields."""
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    return get_type_hints(holder, vars(sys.modules[module]))["it"]
