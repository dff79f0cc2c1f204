"""Load images from an archive into the store: what is in it, whose format, under which names.

An OCI layout comes first where an archive is both; docker's manifest.json names layers by path.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import anyio.to_thread

from orchestra.engine.image.compression import GZIP, ZSTD
from orchestra.engine.image.document import encode_manifest
from orchestra.engine.image.layer import Limits
from orchestra.engine.image.load import Unloaded
from orchestra.engine.image.platforms import choose
from orchestra.engine.image.store import ImageStore, make_image
from orchestra.engine.image.wire import Index, Manifest, parse_config, parse_document, parse_list
from orchestra.engine.snapshot.snapshotter import Snapshotter
from orchestra.errors import ImageError
from orchestra.oci.digest import Digest
from orchestra.oci.image import (
    LAYER_GZIP,
    LAYER_TAR,
    LAYER_ZSTD,
    REF_NAME,
    WHOLE_NAME,
    Descriptor,
    Layer,
)
from orchestra.oci.platform import Platform
from orchestra.oci.reference import ImageRef, parse_reference
from orchestra.values import dataclass

_NAMELESS = ImageRef("archive", "image", "latest")
_DEPTH_MAX = 4


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image that was loaded, under one of its names; ``reference`` None where it has none."""

    reference: ImageRef | None
    id: Digest


@dataclass(frozen=True, slots=True)
class _Found:
    """An image of the archive: its manifest, which may be made, and its names."""

    manifest: bytes
    names: tuple[ImageRef, ...]


async def load(
    read: Callable[[int], bytes],
    *,
    store: ImageStore,
    snapshotter: Snapshotter,
    limits: Limits,
    platform: Platform,
) -> tuple[Loaded, ...]:
    """Store every image of an archive, unpacked and checked; ``read`` gives the archive.

    :raises ImageError: when something in it is refused; images before it are there then.
    """
    loaded: list[Loaded] = []
    with store.writing():
        unloaded = await anyio.to_thread.run_sync(partial(Unloaded, store, read, limits))
        try:
            found = await anyio.to_thread.run_sync(_found, unloaded, platform)
            for one in found:
                loaded += await _keep(one, unloaded, store, snapshotter)
        finally:
            await anyio.to_thread.run_sync(unloaded.close)
    return tuple(loaded)


async def _keep(
    found: _Found, unloaded: Unloaded, store: ImageStore, snapshotter: Snapshotter
) -> list[Loaded]:
    manifest = parse_document(found.manifest)
    if not isinstance(manifest, Manifest):
        raise ImageError("cannot load the archive: an index is where an image should be")
    digest = store.put_blob(found.manifest)
    unloaded.keep(manifest.config.digest, manifest.config.size)
    for layer in manifest.layers:
        await anyio.to_thread.run_sync(unloaded.keep, layer.digest, layer.size)
    image = make_image(digest, manifest, store.read_blob)
    await snapshotter.ensure_layers(image)  # checks every layer's content
    for name in found.names:
        store.add_image(found.manifest, reference=str(name))
    if not found.names:
        store.add_image(found.manifest)
        return [Loaded(None, image.id)]
    return [Loaded(name, image.id) for name in found.names]


def _found(unloaded: Unloaded, platform: Platform) -> list[_Found]:
    if unloaded.has("index.json") and unloaded.has("oci-layout"):
        return list(_of_layout(unloaded, platform))
    if unloaded.has("manifest.json"):
        return list(_of_docker(unloaded))
    raise ImageError(
        "cannot load the archive: it holds no images",
        hint="it should come from docker save, podman save, skopeo or orchestra image save; "
        "a root file system goes in with `orchestra image import`",
    )


def _of_layout(unloaded: Unloaded, platform: Platform) -> Iterator[_Found]:
    """Read an OCI layout's index; entries of one manifest are one image of several names."""
    index = parse_document(unloaded.document("index.json"))
    if not isinstance(index, Index):
        raise ImageError("cannot load the archive: its index.json is no index")
    names: dict[Digest, list[ImageRef]] = {}
    for entry in index.manifests:
        name = _name_of(entry.annotations)
        digest = _chosen(unloaded, entry, platform, name or _NAMELESS)
        if digest is not None:
            names.setdefault(digest, []).extend([name] if name else [])
    for digest, own in names.items():
        yield _Found(unloaded.document_of(digest), tuple(dict.fromkeys(own)))


def _chosen(
    unloaded: Unloaded, entry: Descriptor, platform: Platform, name: ImageRef
) -> Digest | None:
    """Follow indexes to the manifest of a platform; None for what is no image."""
    for _ in range(_DEPTH_MAX):
        document = parse_document(unloaded.document_of(entry.digest), entry.media_type)
        if isinstance(document, Manifest):
            return entry.digest
        entry = choose(document, platform, name)
    raise ImageError("cannot load the archive: its indexes are nested too deeply")


def _name_of(annotations: Mapping[str, str]) -> ImageRef | None:
    """Return an entry's name: containerd's whole one, or the layout's where that is whole."""
    text = annotations.get(WHOLE_NAME) or annotations.get(REF_NAME, "")
    if not text or (WHOLE_NAME not in annotations and not {":", "/"} & set(text)):
        return None  # a tag, and nothing to tell of what
    name = parse_reference(text)
    return ImageRef(name.registry, name.repository, name.tag or "latest")


def _of_docker(unloaded: Unloaded) -> Iterator[_Found]:
    """Read docker's list (image/tarexport, manifestItem)."""
    for fields in parse_list(unloaded.document("manifest.json"), "manifest.json"):
        path, layers, tags = fields.get("Config"), fields.get("Layers"), fields.get("RepoTags")
        if not isinstance(path, str) or not isinstance(layers, list | None):
            raise ImageError("cannot load the archive: its manifest.json is malformed")
        config = unloaded.document(path)
        diff_ids = parse_config(config).diff_ids
        if len(diff_ids) != len(layers or []):
            raise ImageError(
                f"cannot load the archive: {len(layers or [])} layers are listed, the image's "
                f"config tells of {len(diff_ids)}"
            )
        pairs = zip(diff_ids, map(str, layers or []), strict=True)
        made = [_layer(unloaded, diff_id, name) for diff_id, name in pairs]
        listed = tags if isinstance(tags, list) else []
        names = [parse_reference(tag) for tag in listed if isinstance(tag, str)]
        yield _Found(encode_manifest(config, made), tuple(names))


def _layer(unloaded: Unloaded, diff_id: Digest, name: str) -> Layer:
    digest = unloaded.digest(name)
    head = unloaded.head(digest, 8)
    kind = LAYER_TAR
    if head.startswith(GZIP):
        kind = LAYER_GZIP
    elif head.startswith(ZSTD):
        kind = LAYER_ZSTD
    elif digest != diff_id:
        raise ImageError(
            f"cannot load layer {digest[:19]}: the image's config names {diff_id}",
            hint="the archive is damaged, or somebody changed it",
        )
    descriptor = Descriptor(media_type=kind, digest=digest, size=unloaded.size(digest))
    return Layer(diff_id=diff_id, descriptor=descriptor)
