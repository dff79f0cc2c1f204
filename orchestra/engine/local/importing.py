"""The config of an image that is imported: what its changes say, and one line of history."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from orchestra.engine.build.changes import changed
from orchestra.oci.image import History, ImageConfig, Layer
from orchestra.oci.platform import Platform
from orchestra.values import replace


def configured(
    changes: Sequence[str], message: str, platform: Platform, now: datetime
) -> Callable[[Layer], ImageConfig]:
    """Return what makes the config, the changes having been checked.

    :raises BuildError: when a change is wrong.
    """
    created = now.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    config = changed(ImageConfig(platform=platform, diff_ids=(), created=created), changes)
    line = History(created=created, comment=message)
    return lambda layer: replace(config, diff_ids=(layer.diff_id,), history=(line,))
