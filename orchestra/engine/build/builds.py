"""Builds and checks that no plan asks for: ``image build``, ``build --check``, ``build -``."""

from __future__ import annotations

import os
from typing import IO

from orchestra.engine.build.builder import build_image, check_image
from orchestra.engine.build.checking import Checked
from orchestra.engine.build.environment import BuildEnvironment
from orchestra.engine.target import Report
from orchestra.planner.building import BuildSpec
from orchestra.values import replace


class Builds:
    """What can be built on this machine."""

    def __init__(self, environment: BuildEnvironment) -> None:
        self._environment = replace(environment, stdin=_stdin)

    async def check(self, spec: BuildSpec) -> Checked:
        """Check how an image would be built, and build nothing.

        :raises BuildError: when the Dockerfile or a context cannot be read.
        """
        return await check_image(spec, environment=self._environment)

    async def build(self, spec: BuildSpec, reference: str | None, report: Report) -> str:
        """Build an image and return its id; without a reference it is left without a name.

        :raises BuildError: when its Dockerfile is wrong, or a step of it fails.
        """
        image = await build_image(
            spec, reference, environment=self._environment, progress=report, output=report
        )
        return image.id


def _stdin() -> IO[bytes]:
    return os.fdopen(os.dup(0), "rb")
