"""Which image a reference stands for, by pull policy: the store's, or a fresh one."""

from __future__ import annotations

from collections.abc import Callable

from orchestra.engine.events import Progress
from orchestra.engine.image.pull import pull
from orchestra.engine.image.settings import RegistrySettings
from orchestra.engine.image.store import ImageStore
from orchestra.engine.snapshot.snapshotter import Snapshotter
from orchestra.errors import ImageError, RegistryError
from orchestra.oci.image import Image
from orchestra.oci.platform import Platform
from orchestra.planner.desired import PullPolicy


async def resolve(
    reference: str,
    policy: PullPolicy,
    *,
    store: ImageStore,
    snapshotter: Snapshotter,
    settings: RegistrySettings,
    platform: Platform,
    progress: Callable[[Progress], None],
) -> Image:
    """Return the image for a reference, pulled where the policy asks for it.

    An image of another platform in the store counts as missing.

    :raises ImageError: when it may not be pulled, or cannot be had.
    """
    found = store.get(reference, platform)
    if found is not None and platform.rank(found.config.platform) is None:
        found = None
    if policy in {PullPolicy.NEVER, PullPolicy.BUILD}:
        if found is None:
            raise ImageError(
                f'cannot use "{reference}": it is not in the store, and is not to be pulled',
                hint="build it, or change its pull_policy",
            )
        return found
    if found is not None and policy in {PullPolicy.MISSING, PullPolicy.REFRESH}:
        return found
    try:
        return await pull(
            reference,
            store=store,
            snapshotter=snapshotter,
            settings=settings,
            platform=platform,
            progress=progress,
        )
    except RegistryError as err:
        if found is not None:
            hint = "the store has an older one: pull_policy: missing goes on with it"
            err.hint = f"{err.hint}; {hint}" if err.hint else hint
        raise
