"""What any user may ask registries: a composition root that needs no right to this machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from orchestra.engine.paths import paths_of

if TYPE_CHECKING:
    from orchestra.engine.image.registries import Registries


async def digests_of(
    references: Iterable[str],
    environment: Mapping[str, str],
    *,
    uid: int,
    notice: Callable[[str], None],
) -> dict[str, str]:
    """Return the digests of image references at their registries; any user may ask.

    :raises StepErrors: when some cannot be had.
    """
    from orchestra.engine.image.digests import digests_of as ask  # noqa: PLC0415
    from orchestra.engine.image.settings import load_settings  # noqa: PLC0415

    settings = load_settings(paths_of(environment, uid=uid), environment)
    return await ask(references, settings, notice)


def open_registries(environment: Mapping[str, str], *, uid: int) -> Registries:
    """Return the registries as this user's settings have them; needs no right to anything."""
    from orchestra.engine.image.registries import Registries  # noqa: PLC0415
    from orchestra.engine.image.settings import load_settings  # noqa: PLC0415

    return Registries(load_settings(paths_of(environment, uid=uid), environment))
