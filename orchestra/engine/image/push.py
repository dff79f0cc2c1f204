"""Push an image: the room's entry for everybody who gives one to a registry.

Light to import: the HTTP client comes in only when something is really pushed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from orchestra.engine.events import Progress
from orchestra.engine.image.settings import RegistrySettings
from orchestra.engine.image.store import SOURCE_DIGEST, ImageStore
from orchestra.engine.image.tree import is_index
from orchestra.errors import ImageError
from orchestra.oci.digest import Digest
from orchestra.oci.image import Descriptor
from orchestra.oci.platform import Platform
from orchestra.oci.reference import ImageRef, parse_reference
from orchestra.values import dataclass


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a registry has now: ``size`` is that of the manifest, or the index.

    ``whole`` is the index that was to be pushed, where only one image of it is here.
    """

    tag: str
    digest: Digest
    size: int
    whole: Digest | None = None


async def push(
    reference: str,
    *,
    store: ImageStore,
    settings: RegistrySettings,
    progress: Callable[[Progress], None],
    platform: Platform | None = None,
) -> Pushed:
    """Give what is under a name to its registry; what is there is not sent again.

    An index goes as it is, if all that it names is here or at the registry; else the one image of
    it that is here goes, or this machine's. With ``platform`` it is one image always. Layers of a
    lone image that are not packed are packed first, and kept so: the next push sends nothing.

    :raises ImageError: when it is not here, or is damaged, or its images are several and not all.
    :raises RegistryError: when the registry does not take it.
    """
    from orchestra.engine.image.http import HttpClient  # noqa: PLC0415 - 80 ms: httpx2
    from orchestra.engine.image.upload import Upload  # noqa: PLC0415

    parsed = parse_reference(reference)
    if parsed.digest is not None:
        raise ImageError(f'cannot push "{reference}": a registry gives digests, push a tag')
    with store.writing():
        target = await _target(store, parsed, platform)
        whole = None
        async with HttpClient() as http:
            sources = _sources(store, parsed.registry)
            nodes = store.nodes(target)
            pushed = await Upload(http, parsed, store, settings, progress).run(nodes, sources)
            if pushed is None:
                whole, target = target, _instead(store, target, parsed)
                nodes = store.nodes(target)
                pushed = await Upload(http, parsed, store, settings, progress).run(nodes, sources)
        if pushed is None:
            raise ImageError(f'cannot push "{parsed.familiar}": it is not whole in the store')
        store.note(str(parsed), {SOURCE_DIGEST: pushed})
        tag = parsed.tag or "latest"
        return Pushed(tag, pushed, target.size, whole.digest if whole else None)


async def push_document(
    reference: str,
    manifest: Digest,
    *,
    store: ImageStore,
    settings: RegistrySettings,
    progress: Callable[[Progress], None],
) -> None:
    """Give a manifest of the store, and what it names, to a registry, whatever it is of.

    :raises ImageError: when a blob is not here, or is damaged.
    :raises RegistryError: when the registry does not take it.
    """
    from orchestra.engine.image.http import HttpClient  # noqa: PLC0415 - 80 ms: httpx2
    from orchestra.engine.image.upload import Upload  # noqa: PLC0415

    parsed = parse_reference(reference)
    if parsed.digest is not None:
        raise ImageError(f'cannot push "{reference}": a registry gives digests, push a tag')
    with store.writing():
        async with HttpClient() as http:
            upload = Upload(http, parsed, store, settings, progress)
            await upload.run(
                store.nodes(store.describe(manifest)), _sources(store, parsed.registry)
            )


async def _target(store: ImageStore, parsed: ImageRef, platform: Platform | None) -> Descriptor:
    """Return what is to be pushed: an index, or an image whose layers are packed."""
    from orchestra.engine.image.packing import packed  # noqa: PLC0415

    reference = str(parsed)
    target = store.target(reference)
    if target is None:
        raise ImageError(
            f'cannot push "{parsed.familiar}": it is not in the store',
            hint="build or pull it, or give an image this name with `orchestra image tag`",
        )
    if is_index(target) and platform is None:
        return target
    image = store.get(reference, platform)
    if image is None:
        raise ImageError(
            f'cannot push "{parsed.familiar}" for {platform}: it is not in the store',
            hint=f"pull it with --platform {platform}, or build it for that",
        )
    if not is_index(target):
        image = await packed(store, image, reference)
    return store.describe(image.manifest)


def _instead(store: ImageStore, target: Descriptor, parsed: ImageRef) -> Descriptor:
    """Return the image to push where an index is not whole: the only one, or this machine's."""
    images = store.images_of(target)
    image = images[0] if len(images) == 1 else store.own(images)
    if image is None:
        names = ", ".join(sorted(str(one.config.platform) for one in images))
        raise ImageError(
            f'cannot push "{parsed.familiar}": only {names} of its platforms are in the store',
            hint="choose one with --platform, or pull the others first",
        )
    return store.describe(image.manifest)


def _sources(store: ImageStore, registry: str) -> Mapping[Digest, str]:
    """Return the repositories of a registry that blobs were pulled from or pushed to."""
    found: dict[Digest, str] = {}
    for line in store.list():
        if line.reference and SOURCE_DIGEST in line.annotations:
            known = parse_reference(line.reference)
            if known.registry == registry:
                layers = (layer for image in line.images for layer in image.layers)
                found |= {layer.descriptor.digest: known.repository for layer in layers}
    return found
