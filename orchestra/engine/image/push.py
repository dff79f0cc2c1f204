"""Push an image: the room's entry for everybody who gives one to a registry.

Light to import: the HTTP client comes in only when something is really pushed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestra.engine.events import Progress
from orchestra.engine.image.settings import RegistrySettings
from orchestra.engine.image.store import SOURCE_DIGEST, ImageStore
from orchestra.errors import ImageError
from orchestra.oci.digest import Digest
from orchestra.oci.reference import parse_reference
from orchestra.values import dataclass


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a registry has now: ``size`` is that of the manifest."""

    tag: str
    digest: Digest
    size: int


async def push(
    reference: str,
    *,
    store: ImageStore,
    settings: RegistrySettings,
    progress: Callable[[Progress], None],
) -> Pushed:
    """Give an image of the store to the registry of its name; what is there is not sent again.

    Layers that are not packed are packed first, and kept so: the next push sends nothing.

    :raises ImageError: when the image is not here, or is damaged.
    :raises RegistryError: when the registry does not take it.
    """
    from orchestra.engine.image.http import HttpClient  # noqa: PLC0415 - 80 ms: httpx2
    from orchestra.engine.image.packing import packed  # noqa: PLC0415
    from orchestra.engine.image.upload import Upload  # noqa: PLC0415

    parsed = parse_reference(reference)
    if parsed.digest is not None:
        raise ImageError(f'cannot push "{reference}": a registry gives digests, push a tag')
    with store.writing():
        image = store.get(reference)
        if image is None:
            raise ImageError(
                f'cannot push "{parsed.familiar}": it is not in the store',
                hint="build or pull it, or give an image this name with `orchestra image tag`",
            )
        image = await packed(store, image, str(parsed))
        async with HttpClient() as http:
            upload = Upload(http, parsed, store, settings, progress)
            pushed = await upload.run(image, _sources(store, parsed.registry))
        store.note(str(parsed), {SOURCE_DIGEST: pushed})
        return Pushed(parsed.tag or "latest", pushed, store.blob_size(image.manifest))


def _sources(store: ImageStore, registry: str) -> Mapping[Digest, str]:
    """Return the repositories of a registry that blobs were pulled from or pushed to."""
    found: dict[Digest, str] = {}
    for line in store.list():
        if line.reference and SOURCE_DIGEST in line.annotations:
            known = parse_reference(line.reference)
            if known.registry == registry:
                found |= {layer.descriptor.digest: known.repository for layer in line.image.layers}
    return found
