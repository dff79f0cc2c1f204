"""The documents that a project was made of, kept only for who wants to explain it."""

from __future__ import annotations

from orchestra.spec.document import Document
from orchestra.spec.include import Place
from orchestra.spec.tree import MarkedMap
from orchestra.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One document: as written, and canonical with variables replaced, nothing merged in.

    ``place`` is where it was read; a file that is only extended from has its own directory there.
    Layers stand in the order in which they were merged, what a file includes before the file.
    """

    document: Document
    canonical: MarkedMap
    place: Place
    extended: bool = False
