"""What a build notes of itself while it runs: what it took, and what its steps left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestra.values import dataclass, field

if TYPE_CHECKING:
    from orchestra.engine.state.codec import Json
    from orchestra.oci.image import Layer
    from orchestra.oci.platform import Platform


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one instruction took from a context: sources as it names them, digests of what is there.

    ``context`` is "" for the main one.
    """

    context: str
    sources: tuple[str, ...]
    excludes: tuple[str, ...]
    parents: bool
    digests: tuple[str, ...]


@dataclass(slots=True)
class Notes:
    """What a build has looked at so far; ``settles`` False when it is more than can be told."""

    bases: dict[str, str] = field(default_factory=dict)
    taken: list[Taken] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    steps: dict[str, str] = field(default_factory=dict)
    settles: bool = True
    walk: list[dict[str, Json]] = field(default_factory=list)
    """The steps of the one stage there is (walked.py); ``walks`` False when there is more."""
    walks: bool = True
    platform: str = ""

    def take(
        self,
        context: str,
        sources: Sequence[str],
        digests: Sequence[str],
        excludes: Sequence[str] = (),
        *,
        parents: bool = False,
    ) -> None:
        """Note what an instruction took from a context."""
        self.taken.append(
            Taken(
                context=context,
                sources=tuple(sources),
                excludes=tuple(excludes),
                parents=parents,
                digests=tuple(digests),
            )
        )

    def base(self, reference: str, platform: Platform, manifest: str) -> None:
        """Note an image; one name that stands for two images is more than can be told."""
        if self.bases.setdefault(f"{platform} {reference}", manifest) != manifest:
            self.settles = False


def stamp(layer: Layer | None, created: str) -> str:
    """Return what tells what a step left from what it left another time."""
    return f"{created} {layer.descriptor.digest if layer is not None else ''}"
