"""Models that cost nothing until a file uses them: no import, no class, no schema before that.

An annotation names such a model by ``later``; type checkers see the class itself.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Annotated

from pydantic_core import core_schema

if TYPE_CHECKING:
    from pydantic import BaseModel, GetCoreSchemaHandler


class Later:
    """Metadata of an annotation: validates by a model that is imported for the first value."""

    __slots__ = ("_model", "_module", "_name")

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name
        self._model: type[BaseModel] | None = None

    @property
    def model(self) -> type[BaseModel]:
        """The model, imported."""
        if self._model is None:
            found: type[BaseModel] = getattr(import_module(self._module), self._name)
            self._model = found
        return self._model

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(self._validate)

    def _validate(self, value: object) -> BaseModel:
        return self.model.model_validate(value)  # pydantic puts its errors below our place


def later(module: str, name: str) -> object:
    """Return the annotation of a model in a module of this package."""
    return Annotated[object, Later(f"orchestra.spec.model.{module}", name)]
