"""PyYAML without the expressions of its half in Python, of which we use next to nothing.

It compiles them when it is imported, one of them for 5 ms: the characters of all of Unicode that
may not stand in a text, which its C half knows by itself. Here each waits for its first use.
"""

from __future__ import annotations

import base64  # what yaml imports, so that nothing but yaml is imported below
import datetime
import re
import types
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["yaml"]


class _Late:
    """A regular expression that is compiled when it is used."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self._made = pattern, flags

    def __getattr__(self, name: str) -> object:
        return getattr(re.compile(*self._made), name)


def _imported() -> types.ModuleType:
    assert base64
    assert datetime
    compiled: Callable[..., object] = re.compile
    setattr(re, "compile", _Late)  # noqa: B010 - for this one import
    try:
        return __import__("yaml")
    finally:
        setattr(re, "compile", compiled)  # noqa: B010


_imported()
import yaml  # noqa: E402
