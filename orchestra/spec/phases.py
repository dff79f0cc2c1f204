"""Which parts of a load take place."""

from __future__ import annotations

from orchestra.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """Which phases of a load take place; ``config`` can leave each of them out.

    ``resolve_environment`` is the reading of env files into the environment of services.
    """

    interpolate: bool = True
    normalize: bool = True
    resolve_paths: bool = True
    consistency: bool = True
    resolve_environment: bool = True


EVERY_PHASE = Phases()
