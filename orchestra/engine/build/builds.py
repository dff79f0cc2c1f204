"""Builds and checks that no plan asks for: ``image build``, ``build --check``, ``build -``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import IO, TYPE_CHECKING

from orchestra.engine.build.builder import build_image, check_image, describe_image
from orchestra.engine.build.checking import Checked
from orchestra.engine.build.environment import BuildEnvironment
from orchestra.engine.build.export import Member
from orchestra.engine.build.recording import recording
from orchestra.engine.image.store import ImageStore
from orchestra.engine.waiting import want_loop
from orchestra.errors import OrchestraError
from orchestra.oci.image import Image
from orchestra.planner.building import BuildSpec
from orchestra.planner.exchange import Output
from orchestra.values import replace

if TYPE_CHECKING:
    from orchestra.engine.build.outline import Described
    from orchestra.engine.build.results import Built, Opened
    from orchestra.engine.image.settings import RegistrySettings
    from orchestra.engine.target import Report


class Builds:
    """What can be built on this machine."""

    def __init__(
        self,
        environment: BuildEnvironment,
        store: ImageStore,
        settings: Callable[[], RegistrySettings],
    ) -> None:
        self._environment = replace(environment, stdin=_stdin)
        self._store = store
        self._settings = settings

    async def check(self, spec: BuildSpec) -> Checked:
        """Check how an image would be built, and build nothing.

        :raises BuildError: when the Dockerfile or a context cannot be read.
        """
        return await check_image(spec, environment=self._environment)

    async def describe(self, spec: BuildSpec, what: str) -> Described:
        """Tell what a Dockerfile says of itself: "check", "outline" or "targets".

        :raises BuildError: when the Dockerfile or a context cannot be read, or makes no sense.
        """
        return await describe_image(spec, what, environment=self._environment)

    async def build(
        self, spec: BuildSpec, reference: str | None, report: Report, *, again: bool = False
    ) -> str:
        """Build an image and return its id; without a reference it is left without a name.

        ``again``: what goes wrong without an event loop is done again with one, which tells of it.

        :raises BuildError: when its Dockerfile is wrong, or a step of it fails.
        """
        names = (*((reference,) if reference else ()), *spec.tags)
        with recording(self._environment, spec, names, report) as kept:
            try:
                image = await build_image(
                    spec,
                    reference,
                    environment=kept.watched(self._environment),
                    progress=kept.report,
                    output=kept.report,
                )
            except OrchestraError:
                if again:
                    want_loop()
                raise
            target = self._store.target(names[0]) if names else None
            kept.gave(image.id, target.digest if target else image.manifest)
        return image.id

    async def deliver(
        self,
        spec: BuildSpec,
        names: Sequence[str],
        outputs: Sequence[Output],
        *,
        report: Report,
        opened: Opened,
    ) -> Built:
        """Build an image and do with it what is asked for; it is stored only if that is.

        :raises BuildError: when its Dockerfile is wrong, a step fails, or a result cannot be
            written.
        :raises ImageError: when a registry does not take it.
        """
        from orchestra.engine.build.results import Delivery  # noqa: PLC0415 - only this pays

        made: list[Built] = []
        with recording(self._environment, spec, names, report) as kept:
            delivery = Delivery(
                store=self._store,
                layers=self._environment.layers,
                settings=self._settings,
                names=tuple(names),
                opened=opened,
                report=kept.report,
            )

            async def deliver(members: Sequence[Member], epoch: int | None) -> Image:
                built, image = await delivery.deliver(outputs, members, epoch)
                made.append(built)
                return image

            await build_image(
                replace(spec, tags=()),
                names[0] if names else None,
                environment=kept.watched(self._environment),
                progress=kept.report,
                output=kept.report,
                deliver=deliver,
                settles_as=names if tuple(outputs) == (Output(kind="docker"),) else (),
            )
            kept.gave(made[0].id, made[0].target.digest)
        return replace(made[0], record=kept.id, warnings=tuple(kept.warnings))


def _stdin() -> IO[bytes]:
    return os.fdopen(os.dup(0), "rb")
