"""What every element of the model shares: frozen, no unknown keys, strict scalars, x-* kept apart.

The model is the canonical (long) form only: ``normalize`` has turned every short form, size and
duration into its typed value before anything here is built. Attribute names are Compose's keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, ClassVar, Never

from pydantic import BaseModel, ConfigDict, Field, JsonValue, Strict, model_validator

from orchestra.spec.tree import EXTENSIONS


class _Nothing(Mapping[str, Never]):
    """An empty mapping with a hash: a default that has none is copied for each element."""

    __slots__ = ()

    def __getitem__(self, key: str) -> Never:
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __hash__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "{}"


EMPTY: Mapping[str, Never] = _Nothing()
"""The default of every mapping."""

Text = str
"""Strict as it is: of what a tree holds, pydantic takes text alone for it."""
Integer = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]
Span = Annotated[timedelta, Strict()]
Bytes = Annotated[int, Strict()]
Texts = tuple[Text, ...]
TextMap = Mapping[Text, Text]
OptionalTextMap = Mapping[Text, Text | None]


class Element(BaseModel):
    """One element of a Compose file that takes no x-* keys.

    ``pointers`` names the attributes for which false, 0 and empty differ from absent, so that
    the rendered project shows them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    pointers: ClassVar[frozenset[str]] = frozenset()


class ExtensibleElement(Element):
    """One element of a Compose file that takes x-* keys (compose-spec 11-extension.md)."""

    extensions: Mapping[Text, JsonValue] = Field(default=EMPTY, alias="#extensions", repr=False)

    @model_validator(mode="before")
    @classmethod
    def _gather_extensions(cls, data: object) -> object:
        if not isinstance(data, Mapping):
            return data
        if not any(isinstance(key, str) and key.startswith("x-") for key in data):
            return data
        extensions = {key: value for key, value in data.items() if key.startswith("x-")}
        known = {key: value for key, value in data.items() if not key.startswith("x-")}
        return {**known, EXTENSIONS: extensions}
