"""What every element of the model shares: frozen, typed by its annotations, x-* keys kept apart.

The model is the canonical (long) form only: ``normalize`` has turned every short form, size and
duration into its typed value before anything here is built (binder.py). Attribute names are
Compose's keys. Annotations are read when the first element of a class is built, so that a project
pays only for the sections that it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import UnionType
from typing import (
    Annotated,
    ClassVar,
    Never,
    NoReturn,
    Self,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from orchestra.errors import BugError

EXTENSIONS = "#extensions"
"""The input key under which x-* keys travel."""

EMPTY: Mapping[str, Never] = {}
"""The default of every mapping."""


@dataclass(frozen=True, slots=True)
class Alias:
    """Marks an attribute that stands under another key in the input."""

    key: str


@dataclass(frozen=True, slots=True)
class Between:
    """Marks a number that has bounds, both included."""

    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Hidden:
    """Marks an attribute that no repr shows: it may hold a secret."""


Text = str
Integer = int
Number = float
Flag = bool
Span = timedelta
Bytes = int
Texts = tuple[str, ...]
TextMap = Mapping[str, str]
OptionalTextMap = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Slot:
    """One attribute of an element: its key in the input, its type, whether it must be given."""

    key: str
    kind: object
    required: bool
    hidden: bool


class Element:
    """One element of a Compose file that takes no x-* keys.

    ``pointers`` names the attributes for which false, 0 and empty differ from absent, so that
    the rendered project shows them.
    """

    pointers: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, **values: object) -> None:
        """Set what is given, and the defaults of the rest.

        :raises BugError: when an attribute without a default is not given.
        """
        for name, slot in slots_of(type(self)).items():
            if name not in values and slot.required:
                raise BugError(f"{type(self).__name__} without {name}")
            self.__dict__[name] = values[name] if name in values else getattr(type(self), name)
        self.__dict__["_given"] = frozenset(values)

    @property
    def given(self) -> frozenset[str]:
        """Return the attributes that were not left to their defaults."""
        found: frozenset[str] = self.__dict__["_given"]
        return found

    @classmethod
    def model_validate(cls, data: object) -> Self:
        """Return the element of a canonical tree that is known to be right.

        :raises BugError: when it is not.
        """
        from orchestra.spec.model.binder import bind_known  # noqa: PLC0415 - it needs this module

        return bind_known(cls, data)

    def model_copy(self, *, update: Mapping[str, object] = EMPTY) -> Self:
        """Return the element with some attributes changed."""
        result = object.__new__(type(self))
        result.__dict__.update(self.__dict__, **update)
        result.__dict__["_given"] = self.given | update.keys()
        return result

    def __setattr__(self, name: str, value: object) -> NoReturn:
        """Refuse: an element never changes."""
        raise AttributeError(f"{type(self).__name__}.{name} is read-only")

    def __eq__(self, other: object) -> bool:
        """Compare attributes; what begins with an underscore is not part of an element."""
        if type(other) is not type(self):
            return NotImplemented
        return all(self.__dict__[name] == other.__dict__[name] for name in slots_of(type(self)))

    def __hash__(self) -> int:
        """Agree with equality; what elements hold is not always hashable."""
        return hash(type(self))

    def __repr__(self) -> str:
        """Show the attributes that may be seen."""
        slots = slots_of(type(self))
        shown = (f"{name}={self.__dict__[name]!r}" for name in slots if not slots[name].hidden)
        return f"{type(self).__name__}({', '.join(shown)})"


class ExtensibleElement(Element):
    """One element of a Compose file that takes x-* keys (compose-spec 11-extension.md)."""

    extensions: Annotated[Mapping[str, object], Alias(EXTENSIONS), Hidden()] = EMPTY


_SLOTS: dict[type, Mapping[str, Slot]] = {}


def slots_of(element: type[Element]) -> Mapping[str, Slot]:
    """Return an element's attributes, its own after those of its base."""
    if element not in _SLOTS:
        _SLOTS[element] = _read_slots(element)
    return _SLOTS[element]


def _read_slots(element: type[Element]) -> Mapping[str, Slot]:
    found: dict[str, Slot] = {}
    for name, kind in get_type_hints(element, include_extras=True).items():
        if get_origin(kind) is ClassVar:
            continue
        marks = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
        found[name] = Slot(
            key=next((mark.key for mark in marks if isinstance(mark, Alias)), name),
            kind=kind,
            required=not hasattr(element, name),
            hidden=any(isinstance(mark, Hidden) for mark in marks),
        )
    return found


def bare(kind: object) -> object:
    """Return a type without its marks, and without None."""
    origin = get_origin(kind)
    if origin is Annotated:
        return bare(get_args(kind)[0])
    if origin in {Union, UnionType}:
        return bare(next(choice for choice in get_args(kind) if choice is not type(None)))
    return kind
