"""``image ls --tree``: each image with its platforms, in docker's columns."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from orchestra.cli.render.tables import size_text
from orchestra.cli.render.terminal import printable
from orchestra.values import dataclass

if TYPE_CHECKING:
    from orchestra.engine.image.catalogue import Listed
    from orchestra.engine.local.library import ImageLibrary

_HEADER = ("IMAGE", "ID", "DISK USAGE", "CONTENT SIZE", "EXTRA")
_NONE = "<untagged>"
_GAP = "   "
_IN_USE = "U"
_ID_WIDTH = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    name: str
    id: str
    disk_bytes: int
    content_bytes: int
    used: bool

    @property
    def cells(self) -> tuple[str, ...]:
        sizes = (size_text(self.disk_bytes), size_text(self.content_bytes))
        return (printable(self.name), self.id[7:][:_ID_WIDTH], *sizes, _IN_USE * self.used)


def print_tree(library: ImageLibrary, lines: Iterable[Listed], users: Collection[str]) -> None:
    """Print images by their names, with a line for each platform that their index has.

    ``users``: the ids of the images that containers were made of.

    :raises ImageError: when a document is damaged.
    """
    by_target: dict[str, list[Listed]] = {}
    for line in lines:
        by_target.setdefault(line.target, []).append(line)
    groups = [_rows(library, group, users) for group in by_target.values()]
    groups.sort(key=lambda group: (group[0].name == _NONE, group[0].name))
    widths = [len(title) for title in _HEADER]
    for group in groups:
        for row in group:
            widths = [max(*pair) for pair in zip(widths, map(len, row.cells), strict=True)]
    print(_line(_HEADER, widths))
    for number, group in enumerate(groups):
        if number:
            print()
        for row in group:
            print(_line(row.cells if row.id else (row.name, "", "", "", ""), widths))


def _rows(library: ImageLibrary, lines: list[Listed], users: Collection[str]) -> list[_Row]:
    """Return the lines of an image: its names, and its platforms below them."""
    known = library.variants(lines[0].target)
    used = any(variant.id in users for variant in known.variants)
    *names, last = sorted(line.name or _NONE for line in lines)
    above = [_Row(name=name, id="", disk_bytes=0, content_bytes=0, used=False) for name in names]
    top = _Row(
        name=last,
        id=lines[0].image.id,
        disk_bytes=known.disk_bytes,
        content_bytes=known.content_bytes,
        used=used,
    )
    below = [
        _Row(
            name=f"{'├─' if number < len(known.variants) else '└─'} {variant.platform}",
            id=variant.id,
            disk_bytes=variant.content_bytes + variant.layer_bytes,
            content_bytes=variant.content_bytes,
            used=variant.id in users,
        )
        for number, variant in enumerate(known.variants, 1)
    ]
    return [*above, top, *below]


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    padded = [
        cell.rjust(width) if 2 <= place <= 3 else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return _GAP.join(padded).rstrip()
