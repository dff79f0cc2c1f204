"""Where the keys of a project stand, for errors that are found after it was loaded.

A lookup beside the model, not part of it: it takes no part in equality, repr or rendering.
"""

from __future__ import annotations

from orchestra.errors import Location
from orchestra.spec.keypath import KeyPath, dotted
from orchestra.spec.tree import Value, location, place
from orchestra.values import dataclass, field


@dataclass(frozen=True, slots=True)
class Places:
    """The merged tree with its marks, and the files in the order in which they were read."""

    tree: Value = field(default=None, compare=False, repr=False)
    files: tuple[str, ...] = field(default=(), compare=False)

    def location(self, path: KeyPath) -> Location:
        """Return where a key stands, or the nearest key around it that a file holds."""
        found = location(place(self.tree, path), path)
        if found is None or not found.file:
            return Location(file=", ".join(self.files), key=dotted(path))
        return found

    def order(self, where: Location | None) -> tuple[int, int, int]:
        """Return what sorts locations as the files were read, top to bottom."""
        if where is None or where.file not in self.files:
            return (len(self.files), 0, 0)
        return (self.files.index(where.file), where.line, where.column)
