"""Make an image of a container: its image's layers, and one of what was written on top."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import anyio

from orchestra.engine.build.changes import changed, config_of
from orchestra.engine.build.export import Made, final_config, history_of
from orchestra.engine.container.lifecycle import Containers
from orchestra.engine.container.places import Places
from orchestra.engine.image.document import encode_config, encode_manifest
from orchestra.engine.image.layers import StoredLayers
from orchestra.engine.image.store import ImageStore
from orchestra.engine.paths import Paths
from orchestra.engine.state.records import ContainerRecord
from orchestra.engine.target import Commit
from orchestra.errors import ContainerError, ImageError
from orchestra.oci.image import History
from orchestra.oci.reference import parse_reference
from orchestra.planner.observed import Phase
from orchestra.values import replace


async def commit_image(
    record: ContainerRecord, wanted: Commit, containers: Containers, store: ImageStore, paths: Paths
) -> str:
    """Store an image of a container, whose lock is held; return its id.

    :raises BuildError: when a change is wrong.
    :raises ImageError: when the reference is malformed, or the files are what no layer can say.
    :raises ContainerError: when the image that the container was made of is gone.
    """
    if wanted.reference and parse_reference(wanted.reference).digest:
        raise ImageError(f'cannot name an image "{wanted.reference}": that is a digest')
    image = store.by_id(record.image_id)
    if image is None:
        raise ContainerError(
            f'cannot commit container "{record.spec.name}": its image is gone',
            hint=f"orchestra pull {record.spec.service}",
        )
    config = replace(config_of(image.config, record.spec), author=wanted.author)
    config = changed(config, wanted.changes)
    upper = str(Places.of(paths, record).upper)
    with store.writing():
        async with _still(record, containers, pause=wanted.pause):
            layer = await StoredLayers(store).pack(upper)
        created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        line = History(
            created_by=" ".join(config.cmd or ()), comment=wanted.message, author=wanted.author
        )
        history = history_of(
            image.config.history,
            [Made(history=line, layer=layer, created=created)],
            base_created=image.config.created,
            base_layers=len(image.layers),
            epoch=None,
        )
        layers = (*image.layers, layer)
        document = encode_config(
            final_config(
                config,
                layers=layers,
                history=history,
                labels={},
                platform=image.config.platform,
            )
        )
        store.put_blob(document)
        made = store.add_image(encode_manifest(document, layers), reference=wanted.reference)
    return made.id


@asynccontextmanager
async def _still(
    record: ContainerRecord, containers: Containers, *, pause: bool
) -> AsyncIterator[None]:
    """Keep a running container's processes where they are meanwhile."""
    if not pause or containers.phase(record)[0] is not Phase.RUNNING:
        yield
        return
    await containers.pause(record)
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await containers.resume(record)
