"""What a prune of images took away, in docker's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestra.cli.render.tables import size_text
from orchestra.cli.session import note

if TYPE_CHECKING:
    from orchestra.engine.local.library import Pruned


def show_pruned(pruned: Pruned, *, total: bool = True) -> None:
    """Print what was removed."""
    if pruned.busy:
        note("warning: images are being pulled or built just now; nothing was removed")
    if pruned.deleted:
        print("Deleted Images:")
        for name in pruned.untagged:
            print(f"untagged: {name}")
        for identity in pruned.deleted:
            print(f"deleted: {identity}")
        print()
    if total:
        print(f"Total reclaimed space: {size_text(pruned.bytes)}")
