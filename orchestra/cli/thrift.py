"""What pydantic imports in vain, kept out of a command's start."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from types import ModuleType

_METADATA = "importlib.metadata"


def spare_pydantic() -> None:
    """Let pydantic, not yet imported, look for no plugins, nor load what would look for them.

    The search goes through all installed packages, and costs 25 ms of each start; the module
    that makes it, with the standard library's mail parser behind it, 10 ms more.
    """
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    if _METADATA not in sys.modules:
        stand_in = _Metadata(_METADATA)
        sys.modules[_METADATA] = stand_in
        setattr(importlib, "metadata", stand_in)  # noqa: B010 - as an import would


class _Metadata(ModuleType):
    """Is ``importlib.metadata`` to whoever uses it, and loads that only then."""

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "entry_points":  # pydantic takes it, and calls it only for plugins
            return _entry_points
        return getattr(_loaded(), name)


def _loaded() -> ModuleType:
    if isinstance(sys.modules[_METADATA], _Metadata):
        del sys.modules[_METADATA]
    return importlib.import_module(_METADATA)


def _entry_points(**wanted: str) -> object:
    found: Callable[..., object] = _loaded().entry_points
    return found(**wanted)
