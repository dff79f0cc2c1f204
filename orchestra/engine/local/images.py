"""Handlers of PullImage, BuildImage and RemoveImage."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestra.engine.image.pull import pull
from orchestra.engine.image.settings import RegistrySettings
from orchestra.engine.image.store import ImageStore
from orchestra.engine.local.notes import BUILD_HASH, PULLED_AT
from orchestra.engine.snapshot.snapshotter import Snapshotter
from orchestra.engine.target import Report
from orchestra.errors import BugError
from orchestra.oci.platform import Platform, parse_platform
from orchestra.planner.desired import ImageSpec
from orchestra.planner.fingerprint import build_hash
from orchestra.planner.steps import RemoveImage

if TYPE_CHECKING:
    from orchestra.engine.build.environment import BuildEnvironment


class ImageSteps:
    """What plans do with images."""

    def __init__(
        self,
        store: ImageStore,
        snapshotter: Snapshotter,
        settings: RegistrySettings,
        platform: Platform,
        environment: Callable[[str], BuildEnvironment],
    ) -> None:
        self._store = store
        self._snapshotter = snapshotter
        self._settings = settings
        self._platform = platform
        self._environment = environment

    async def pull(self, image: ImageSpec, report: Report) -> None:
        """Fetch an image and unpack its layers.

        :raises ImageError: when it cannot be had.
        """
        platform = parse_platform(image.platform) if image.platform else self._platform
        await pull(
            image.reference,
            store=self._store,
            snapshotter=self._snapshotter,
            settings=self._settings,
            platform=platform,
            progress=report,
        )
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._store.note(image.reference, {PULLED_AT: now})

    async def build(self, project: str, image: ImageSpec, report: Report) -> None:
        """Build an image.

        :raises BuildError: when its Dockerfile is wrong, or a step of it fails.
        """
        from orchestra.engine.build.builder import build_image  # noqa: PLC0415 - only builds pay
        from orchestra.engine.build.recording import recording  # noqa: PLC0415

        if image.build is None:
            raise BugError(f"no build is known for {image.reference}")
        environment = self._environment(project)
        names = (image.reference, *image.build.tags)
        with recording(environment, image.build, names, report) as kept:
            made = await build_image(
                image.build,
                image.reference,
                environment=kept.watched(environment),
                progress=kept.report,
                output=kept.report,
            )
            target = self._store.target(image.reference)
            kept.gave(made.id, target.digest if target else made.manifest)
        remembered = image.build_hash or build_hash(image.build)
        self._store.note(image.reference, {BUILD_HASH: remembered})

    async def remove(self, step: RemoveImage) -> None:
        """Remove an image's reference."""
        self._store.untag(step.reference)
