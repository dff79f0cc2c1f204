"""Dataclasses with slots, whose methods are made when they are first used.

The standard library compiles six methods of a dataclass when its module is imported, half a
millisecond a class; a command imports a hundred of them and makes values of twenty (ADR 0014).
This one keeps the class's annotations and defaults, and compiles ``__init__`` after a few values;
``fields``, ``replace`` and ``asdict`` work, and get what they ask for when they ask. Type checkers
see the standard library's.

A process that is about to be forked again and again calls :func:`prepare` first.

``TypedDict`` is for type checkers as well: what is made by such a class is a plain dict. The
standard library compiles each annotation of one, which takes a command milliseconds.
"""

from __future__ import annotations

import _operator  # the half of ``operator`` that is written in C

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from dataclasses import dataclass, field, replace
    from typing import NoReturn, TypedDict

__all__ = [
    "Field",
    "TypedDict",
    "dataclass",
    "field",
    "fields_of",
    "items_of",
    "prepare",
    "replace",
]


def _lazy_dataclass(
    *, slots: bool, frozen: bool = False, kw_only: bool = False, order: bool = False
) -> Callable[[type], type]:
    """Return the decorator, as :func:`dataclasses.dataclass` does.

    :raises TypeError: unless slots are asked for.
    """
    if not slots:
        raise TypeError("only dataclasses with slots are made late")
    methods = _METHODS | (_FROZEN if frozen else {}) | (_ORDER if order else {})

    def decorate(cls: type) -> type:
        return _made(cls, methods, kw_only=kw_only)

    return decorate


def _replace(value: object, /, **changes: object) -> object:
    """Return the value with changes, as :func:`dataclasses.replace` does."""
    cls = type(value)
    if cls not in _FIELDS:
        import dataclasses  # noqa: PLC0415

        standard: Callable[..., object] = dataclasses.replace
        return standard(value, **changes)
    return cls(**dict(zip(*items_of(value), strict=True)) | changes)


def items_of(value: object) -> tuple[tuple[str, ...], tuple[object, ...]]:
    """Return the names of the fields of a value whose class was made here, and what they hold."""
    cls = type(value)
    if cls not in _GETTERS:
        names = tuple(field.name for field in fields_of(cls))
        _GETTERS[cls] = names, _operator.attrgetter(*names) if names else lambda _: ()
    names, getter = _GETTERS[cls]
    # of one name alone it gives what that holds, and not a tuple
    return names, getter(value) if len(names) != 1 else (getter(value),)


_GETTERS: dict[type, tuple[tuple[str, ...], Callable[[object], tuple[object, ...]]]] = {}


def prepare() -> None:
    """Compile what was left for later, in a process that will be forked."""
    for cls in _FIELDS:
        if vars(cls)["__init__"] is _init:
            _compile(cls)


_ABSENT = object()


class _Default:
    """What stands for a field in its class."""

    __slots__ = ("compare", "factory", "repr", "value")

    def __init__(
        self,
        *,
        default: object = _ABSENT,
        default_factory: Callable[[], object] | None = None,
        compare: bool = True,
        repr: bool = True,  # noqa: A002
    ) -> None:
        self.value = default
        self.factory = default_factory
        self.compare = compare
        self.repr = repr


class Field:
    """One field of a class: its name, its annotation as written, and the module of those words."""

    __slots__ = ("annotation", "default", "kw_only", "module", "name")

    def __init__(self, cls: type, name: str, *, kw_only: bool) -> None:
        default = vars(cls).get(name, _ABSENT)
        self.name = name
        self.annotation = str(cls.__annotations__[name])
        self.module = cls.__module__
        self.kw_only = kw_only
        self.default = default if isinstance(default, _Default) else _Default(default=default)

    @property
    def required(self) -> bool:
        """Whether every value must be given this field."""
        return self.default.value is _ABSENT and self.default.factory is None

    def default_value(self) -> object:
        """Return what the field holds when it is not given; for one that need not be."""
        return self.default.value if self.default.factory is None else self.default.factory()

    def is_default(self, value: object) -> bool:
        """Whether a value is what the field holds when it is not given."""
        return bool(value == self.default_value())


_FIELDS: dict[type, tuple[Field, ...]] = {}


def fields_of(cls: type) -> tuple[Field, ...]:
    """Return the fields of a class made here, in order; of any other class, none."""
    return next((_FIELDS[base] for base in cls.__mro__ if base in _FIELDS), ())


def _made(cls: type, methods: Mapping[str, object], *, kw_only: bool) -> type:
    """Return the class again, with slots, and with methods that replace themselves."""
    own = tuple(cls.__annotations__)
    inherited = {field.name: field for base in reversed(cls.__bases__) for field in fields_of(base)}
    namespace = {name: value for name, value in vars(cls).items() if name not in own}
    namespace.pop("__dict__", None)
    namespace.pop("__weakref__", None)
    namespace["__slots__"] = tuple(name for name in own if name not in inherited)
    fields = inherited | {name: Field(cls, name, kw_only=kw_only) for name in own}
    namespace["__match_args__"] = tuple(f.name for f in fields.values() if not f.kw_only)
    for name, method in methods.items():
        namespace.setdefault(name, method)
    made = type(cls)(cls.__name__, cls.__bases__, namespace)
    made.__qualname__ = cls.__qualname__
    _FIELDS[made] = tuple(fields.values())
    return made


_FEW = 8
"""How many values of a class are made without an ``__init__`` of its own: that costs as much."""
_COUNTS: dict[type, int] = {}


def _init(self: object, *args: object, **values: object) -> None:
    cls = next(base for base in type(self).__mro__ if base in _FIELDS)
    count = _COUNTS[cls] = _COUNTS.get(cls, 0) + 1
    if count > _FEW or not _filled(self, _FIELDS[cls], args, values):
        _compile(cls)
        type(self).__init__(self, *args, **values)


def _filled(
    self: object, fields: Sequence[Field], args: tuple[object, ...], values: dict[str, object]
) -> bool:
    """Give a value its fields; False when they do not fit, which is the compiler's to tell."""
    names = [field.name for field in fields if not field.kw_only]
    given = dict(zip(names, args, strict=False))
    if len(args) > len(names) or not given.keys().isdisjoint(values):
        return False
    given |= values
    found = []
    for field in fields:
        name, default = field.name, field.default
        value = given.pop(name, _ABSENT)
        if value is _ABSENT:
            if field.required:
                return False
            value = default.factory() if default.factory is not None else default.value
        found.append((name, value))
    if given:
        return False
    put = object.__setattr__
    for name, value in found:
        put(self, name, value)
    return True


def _compile(cls: type) -> None:
    """Put the ``__init__`` in place that the class's fields ask for."""
    fields = sorted(_FIELDS[cls], key=lambda field: field.kw_only)
    known: dict[str, object] = {"_set": object.__setattr__, "_absent": _ABSENT}
    heads, body = ["self"], [" pass"]
    for field in fields:
        name = field.name
        if field.kw_only and "*" not in heads:
            heads.append("*")
        if field.default.factory is not None:
            known[f"_{name}_"] = field.default.factory
            heads.append(f"{name}=_absent")
            body.append(f" if {name} is _absent: {name} = _{name}_()")
        elif field.required:
            heads.append(name)
        else:
            known[f"_{name}_"] = field.default.value
            heads.append(f"{name}=_{name}_")
        body.append(f" _set(self, {name!r}, {name})")
    text = "\n".join((f"def __init__({','.join(heads)}):", *body))
    exec(compile(text, f"<{cls.__qualname__}.__init__>", "exec"), known)  # noqa: S102 - as dataclasses does
    made = known["__init__"]
    setattr(made, "__qualname__", f"{cls.__qualname__}.__init__")  # noqa: B010
    setattr(cls, "__init__", made)  # noqa: B010


_KEYS: dict[type, Callable[[object], object]] = {}


def _key_of(cls: type) -> Callable[[object], object]:
    """Return what makes one comparable thing of a value's fields."""
    key = _KEYS.get(cls)
    if key is None:
        names = [field.name for field in fields_of(cls) if field.default.compare]
        key = _KEYS[cls] = _operator.attrgetter(*names) if names else lambda _: ()
    return key


def _eq(self: object, other: object) -> bool:
    if other.__class__ is not self.__class__:
        return NotImplemented  # type: ignore[no-any-return]
    key = _key_of(self.__class__)
    return key(self) == key(other)


def _ordered(name: str) -> Callable[[object, object], bool]:
    compare: Callable[[object, object], bool] = getattr(_operator, name)

    def method(self: object, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented  # type: ignore[no-any-return]
        key = _key_of(self.__class__)
        return compare(key(self), key(other))

    return method


def _hash(self: object) -> int:
    return hash(_key_of(self.__class__)(self))


def _repr(self: object) -> str:
    fields = [field.name for field in fields_of(type(self)) if field.default.repr]
    shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in fields)
    return f"{type(self).__qualname__}({shown})"


def _setattr(self: object, name: str, value: object) -> NoReturn:  # noqa: ARG001
    from dataclasses import FrozenInstanceError  # noqa: PLC0415

    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _delattr(self: object, name: str) -> NoReturn:  # noqa: ARG001
    from dataclasses import FrozenInstanceError  # noqa: PLC0415

    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _getstate(self: object) -> list[object]:
    return [getattr(self, field.name) for field in fields_of(type(self))]


def _setstate(self: object, state: list[object]) -> None:
    for field, value in zip(fields_of(type(self)), state, strict=True):
        object.__setattr__(self, field.name, value)


class _Standard:
    """An attribute that the standard library's dataclass would have, made when it is read."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, value: object, owner: type) -> object:
        import dataclasses  # noqa: PLC0415

        standard_field: Callable[..., object] = dataclasses.field
        hints = {field.name: field.annotation for field in fields_of(owner)}
        namespace: dict[str, object] = {"__annotations__": hints, "__doc__": owner.__doc__ or "-"}
        for field in fields_of(owner):
            told = field.default
            namespace[field.name] = standard_field(
                default=dataclasses.MISSING if told.value is _ABSENT else told.value,
                default_factory=told.factory or dataclasses.MISSING,
                compare=told.compare,
                repr=told.repr,
                kw_only=field.kw_only,
            )
        shell = type(owner.__name__, (), namespace)
        shell.__module__ = owner.__module__
        standard: type = dataclasses.dataclass(frozen=True, init=False, repr=False, eq=False)(shell)
        for name in ("__dataclass_fields__", "__dataclass_params__"):
            setattr(owner, name, getattr(standard, name))
        return getattr(owner, self._name)


_METHODS: dict[str, object] = {
    "__init__": _init,
    "__eq__": _eq,
    "__hash__": None,
    "__repr__": _repr,
    "__getstate__": _getstate,
    "__setstate__": _setstate,
    "__dataclass_fields__": _Standard("__dataclass_fields__"),
    "__dataclass_params__": _Standard("__dataclass_params__"),
}

_FROZEN: dict[str, object] = {
    "__hash__": _hash,
    "__setattr__": _setattr,
    "__delattr__": _delattr,
}
_ORDER: dict[str, object] = {
    "__lt__": _ordered("lt"),
    "__le__": _ordered("le"),
    "__gt__": _ordered("gt"),
    "__ge__": _ordered("ge"),
}


class _Document(type):
    """The class of typed dictionaries: each has a name, and its calls make plain ones."""

    def __new__(
        cls, name: str, _bases: object, members: dict[str, object], **_told: object
    ) -> type:
        """Make one; what it says of its keys is for readers and type checkers."""
        kept: dict[str, object] = {"__doc__": members.get("__doc__")}
        if "__module__" in members:
            kept["__module__"] = members["__module__"]
        return super().__new__(cls, name, (), kept)

    def __init__(cls, *_told: object, **_options: object) -> None:
        """Take what was told already."""

    def __call__(cls, *values: object, **fields: object) -> object:
        """Return a dictionary; of ``TypedDict`` itself a class, by its name and keys."""
        if values and isinstance(values[0], str):
            return _Document(values[0], (), {})
        return dict(*values, **fields)


if not TYPE_CHECKING:
    TypedDict = _Document("TypedDict", (), {})
    dataclass = _lazy_dataclass
    field = _Default
    replace = _replace
