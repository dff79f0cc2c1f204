"""Which images need no build, for who asks before anything that builds is imported."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from orchestra.engine.image.store import SOURCE_DIGEST
from orchestra.engine.local.notes import BUILD_HASH
from orchestra.oci.reference import parse_reference
from orchestra.planner.fingerprint import build_hash

if TYPE_CHECKING:
    from orchestra.engine.build.settled import Settled, SettledBuilds
    from orchestra.engine.events import Event
    from orchestra.engine.image.store import ImageStore
    from orchestra.planner.building import BuildSpec
    from orchestra.planner.desired import ImageSpec


class SettledImages:
    """Looks only: where a name or a note would have to be written, the build is to be done."""

    def __init__(self, store: ImageStore, builds: SettledBuilds, history: Path) -> None:
        self._store = store
        self._builds = builds
        self._history = history

    def find(self, spec: BuildSpec, names: tuple[str, ...]) -> Settled | None:
        """Return a build of which nothing has changed. Blocks.

        :raises StateError: when the store cannot be opened.
        """
        look = self._builds.look(spec, names)
        if look is None:
            return None
        with self._store.writing():
            found = self._builds.find(look)
        return found if found is not None and found.named else None

    def record(
        self, found: Settled, spec: BuildSpec, names: tuple[str, ...], events: Iterable[Event]
    ) -> None:
        """Write a settled build, and what it says, into the history of builds."""
        from orchestra.engine.build.materials import Material  # noqa: PLC0415
        from orchestra.engine.build.recording import record_settled, told_of  # noqa: PLC0415

        target = self._store.target(names[0])
        digest = target.digest if target else found.image.manifest
        materials = [
            Material(name, platform, self._store.annotations(name).get(SOURCE_DIGEST, manifest))
            for platform, name, manifest in found.bases
        ]
        result = {"image": found.image.id, "digest": digest, **told_of(materials)}
        record_settled(self._history, spec, names, self._builds.platform, events, result)

    def place(self, spec: BuildSpec, names: tuple[str, ...]) -> str:
        """Return by what the evidence of a build is known (build/glances.py)."""
        return self._builds.place(spec, names)

    def about(self, spec: BuildSpec, names: tuple[str, ...]) -> dict[str, object]:
        """Return what the history of builds has of how an image is built."""
        from orchestra.engine.build.recording import about  # noqa: PLC0415

        return about(spec, names, self._builds.platform)

    def note_of(self, image: ImageSpec) -> dict[str, str]:
        """Return what has to be noted beside an image's name for its build to be that one."""
        if image.build is None:
            return {}
        return {str(parse_reference(image.reference)): _hash_of(image)}

    def note(self, image: ImageSpec) -> None:
        """Note beside an image's name what it was built from."""
        self._store.note(image.reference, {BUILD_HASH: _hash_of(image)})

    def of_image(self, image: ImageSpec) -> Settled | None:
        """Return the build of a service's image, when its note says that it was built so. Blocks.

        :raises StateError: when the store cannot be opened.
        """
        if image.build is None:
            return None
        noted = self._store.annotations(image.reference).get(BUILD_HASH, "")
        if noted != _hash_of(image):
            return None
        return self.find(image.build, (image.reference, *image.build.tags))


def _hash_of(image: ImageSpec) -> str:
    return image.build_hash or (build_hash(image.build) if image.build else "")
